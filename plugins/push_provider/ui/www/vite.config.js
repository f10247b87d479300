// Builds the page's modules into ../dist: one for each place in Airflow's UI, and the chunks that they share or load
// when they are needed.
import { defineConfig } from "vite";

/** What Airflow's UI shares with its plugins, by the global that it is found under. */
const SHARED = {
  react: "React",
  "react-dom": "ReactDOM",
  "react/jsx-runtime": "ReactJSXRuntime",
  "react-router-dom": "ReactRouterDOM",
  "@chakra-ui/react": "ChakraUI",
};

/** Airflow's own React, router and Chakra in place of copies: two Reacts in a page do not work together. */
const fromAirflow = {
  name: "from-airflow",
  enforce: "pre",
  resolveId: (source) => (source in SHARED ? `\0airflow:${source}` : null),
  load(id) {
    if (!id.startsWith("\0airflow:")) return null;
    const code = `export default globalThis.${SHARED[id.slice("\0airflow:".length)]};`;
    return { code, syntheticNamedExports: true };
  },
};

export default defineConfig({
  base: "./",
  plugins: [fromAirflow],
  esbuild: { jsx: "automatic", jsxDev: false },
  define: { "process.env.NODE_ENV": JSON.stringify("production") },
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    rollupOptions: {
      input: { push: "src/push.tsx", deliveries: "src/deliveries.tsx" },
      preserveEntrySignatures: false,
      output: { entryFileNames: "[name].js", chunkFileNames: "[name]-[hash].js", assetFileNames: "[name]-[hash][extname]" },
    },
  },
});
