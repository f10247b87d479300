// A page of the documentation.

import { Box, type SystemStyleObject } from "@chakra-ui/react";
import { useEffect, useMemo, useRef, type MouseEvent } from "react";
import { useHref, useNavigate } from "react-router-dom";
import { screen } from "../../app/places";

const LOOK: SystemStyleObject = {
  overflowWrap: "anywhere",
  lineHeight: "tall",
  maxW: "56rem",
  "& h1": { textStyle: "2xl", fontWeight: "semibold", mb: 3 },
  "& h2": { textStyle: "xl", fontWeight: "semibold", mt: 6, mb: 2 },
  "& h3, & h4": { textStyle: "md", fontWeight: "semibold", mt: 4, mb: 2 },
  "& p, & ul, & ol, & pre, & blockquote, & .table": { my: 3 },
  "& ul": { listStyleType: "disc", ps: 6 },
  "& ol": { listStyleType: "decimal", ps: 6 },
  "& li": { my: 1 },
  "& a": { color: "fg.info", textDecoration: "underline" },
  "& code": { fontFamily: "mono", fontSize: "0.9em", bg: "bg.muted", px: 1, borderRadius: "sm" },
  "& pre": { bg: "bg.muted", borderRadius: "md", p: 3, overflowX: "auto", overflowWrap: "normal" },
  "& pre code": { bg: "transparent", p: 0 },
  "& blockquote": { borderStartWidth: "4px", borderColor: "border.emphasized", ps: 4, color: "fg.muted" },
  "& .table": { overflowX: "auto" },
  "& table": { borderCollapse: "collapse", fontSize: "sm" },
  "& th, & td": { borderWidth: "1px", borderColor: "border", px: 3, py: 2, textAlign: "start", verticalAlign: "top" },
  "& td": { minW: "8rem" },
  "& th": { bg: "bg.subtle", fontWeight: "medium" },
  "& img": { maxW: "full", h: "auto", borderWidth: "1px", borderRadius: "md" },
};

export function Written({ title, html }: { title: string; html: string }) {
  const navigate = useNavigate();
  const place = useHref(screen("help"));
  const box = useRef<HTMLDivElement>(null);
  const shown = useMemo(() => prepared(html, place), [html, place]);
  useEffect(() => {
    // Another page begins at its beginning, however far down the last one was read.
    if (box.current !== null && box.current.getBoundingClientRect().top < 0) box.current.scrollIntoView();
  }, [shown]);

  const follow = (event: MouseEvent<HTMLDivElement>) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link === null || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const to = link.getAttribute("href") ?? "";
    if (!to.startsWith(`${place}/`)) return;
    event.preventDefault();
    void navigate(screen(`help${to.slice(place.length)}`));
  };
  return (
    <Box
      ref={box}
      as="article"
      aria-label={title}
      css={LOOK}
      onClick={follow}
      // Ours alone: it is made of the documentation in our own package, by a renderer that lets no HTML of the sources
      // through. What strangers write never comes here.
      dangerouslySetInnerHTML={{ __html: shown }}
    />
  );
}

/** Links between pages become real addresses, for a tab of their own; what scrolls can be reached by keyboard. */
function prepared(html: string, place: string): string {
  return html
    .replaceAll('href="#help/', `href="${place}/`)
    .replaceAll("<pre>", '<pre tabindex="0">')
    .replaceAll("<table>", '<div class="table" tabindex="0"><table>')
    .replaceAll("</table>", "</table></div>");
}
