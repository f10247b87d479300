// The page's words, in the language of Airflow's UI: Chinese for every kind of it, else English.

import i18next from "i18next";
import { initReactI18next } from "react-i18next";
import { common } from "./common";

export type Language = "en" | "zh-CN";
/** Words by their keys, which may be nested. */
export type Words = { [key: string]: string | Words };

const asAirflow = (): Language => {
  let chosen = document.documentElement.lang;
  try {
    chosen = localStorage.getItem("i18nextLng") ?? chosen;
  } catch {
    // A browser that keeps nothing: the page's own language is all that there is.
  }
  return chosen.toLowerCase().startsWith("zh") ? "zh-CN" : "en";
};

// An instance of its own: Airflow's UI has another one, which must not get our words.
export const i18n = i18next.createInstance();
void i18n.use(initReactI18next).init({
  lng: asAirflow(),
  fallbackLng: "en",
  resources: {},
  interpolation: { escapeValue: false }, // React does
});

/** Add the words of a screen, which stand beside it, under the screen's name. */
export function addWords(screen: string, words: Record<Language, Words>): void {
  for (const [language, texts] of Object.entries(words)) {
    i18n.addResourceBundle(language, "translation", screen === "" ? texts : { [screen]: texts }, true, true);
  }
}

addWords("", common);

/** Follow Airflow's choice from now on; returns what ends that. */
export function followAirflow(): () => void {
  const follow = () => void i18n.changeLanguage(asAirflow());
  follow();
  // Airflow sets it when its user chooses another one, and stores the choice before that.
  const watch = new MutationObserver(follow);
  watch.observe(document.documentElement, { attributeFilter: ["lang"] });
  window.addEventListener("storage", follow);
  return () => {
    watch.disconnect();
    window.removeEventListener("storage", follow);
  };
}
