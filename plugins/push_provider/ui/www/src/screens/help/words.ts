// The words around the documentation's pages.

import { addWords } from "../../i18n";

addWords("help", {
  en: { pages: "Pages of the documentation", choose: "Page", none: "This installation has no documentation." },
  "zh-CN": { pages: "文档目录", choose: "页面", none: "此安装中没有文档。" },
});
