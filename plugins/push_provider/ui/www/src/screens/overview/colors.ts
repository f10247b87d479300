// The theme's colours for a canvas, which knows no CSS variables; they change with light and dark.

import { useToken } from "@chakra-ui/react";
import { useEffect, useState } from "react";

/** What a token is at this moment: a colour, or the variable that holds it. */
function valueOf(token: string): string {
  const variable = /^var\((--[^,)]+)/.exec(token)?.[1];
  return variable === undefined ? token : getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
}

export function useColors(names: string[]): string[] {
  const tokens: string[] = useToken("colors", names);
  const [, lookAgain] = useState(0);
  useEffect(() => {
    // Airflow's UI tells light from dark by a class of the document's root.
    const watch = new MutationObserver(() => lookAgain((count) => count + 1));
    watch.observe(document.documentElement, { attributeFilter: ["class", "style"] });
    return () => watch.disconnect();
  }, []);
  return tokens.map(valueOf);
}
