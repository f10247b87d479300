// The form's words.

import { addWords } from "../../i18n";
import { chinese } from "./words.zh";
import { english } from "./words.en";

addWords("taskForm", { en: english, "zh-CN": chinese });
