// The documentation's pages, in a language.

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { call } from "../../api/client";

/** A page, by its file's name. */
export type HelpPage = { name: string; title: string };

export function useHelpPages(language: string) {
  return useQuery({
    queryKey: ["help", language],
    queryFn: () => call<{ items: HelpPage[] }>("help", { params: { language } }),
    staleTime: Infinity,
  });
}

export function useHelpPage(name: string | undefined, language: string) {
  return useQuery({
    queryKey: ["help", language, name],
    queryFn: () =>
      call<{ title: string; html: string }>(`help/${encodeURIComponent(name ?? "")}`, { params: { language } }),
    enabled: name !== undefined,
    placeholderData: keepPreviousData,
    staleTime: Infinity,
  });
}
