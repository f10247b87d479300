// What most tasks leave as it is, folded away; it opens by itself where something in it is wrong.

import { Button, Collapsible, Stack, Textarea } from "@chakra-ui/react";
import { useEffect, useState } from "react";
import { useFormContext, useFormState } from "react-hook-form";
import { isJson } from "./channels/SchemaFields";
import { ChoiceField, Labelled, Row, TextField, useWords, type Name } from "./Labelled";
import type { Values } from "./values";

const FIELDS = [
  "variables",
  "category",
  "app",
  "owner",
  "missed",
  "on_unknown",
  "max_active_runs",
  "retries",
  "retry_delay",
] as const satisfies Name[];

export function AdvancedFields() {
  const words = useWords();
  const { register, control } = useFormContext<Values>();
  const { errors } = useFormState({ control });
  const broken = FIELDS.some((name) => errors[name] !== undefined);
  const [open, setOpen] = useState(false);
  useEffect(() => {
    if (broken) setOpen(true);
  }, [broken]);
  const choices = (name: string, values: string[]) =>
    ["", ...values].map((value) => ({ value, label: words(`advanced.${name}_${value || "none"}`) }));
  const isObject = (text: unknown) =>
    isJson(text) && (String(text).trim() === "" || /^\s*\{/.test(String(text))) ? true : words("noObject");
  const number = { validate: (text: unknown) => text === "" || Number.isFinite(Number(text)) || words("noNumber") };
  return (
    <Collapsible.Root open={open} onOpenChange={(change) => setOpen(change.open)}>
      <Collapsible.Trigger asChild>
        <Button size="sm" variant="ghost">
          {open ? "▾" : "▸"} {words("advanced.title")}
        </Button>
      </Collapsible.Trigger>
      <Collapsible.Content>
        <Stack gap={4} borderWidth="1px" borderRadius="md" p={4} mt={2}>
          <Labelled name="variables" label={words("advanced.variables")} help={words("advanced.variablesHelp")}>
            <Textarea
              rows={4}
              resize="vertical"
              fontFamily="mono"
              fontSize="sm"
              spellCheck={false}
              placeholder={'{"shop": "Hangzhou"}'}
              {...register("variables", { validate: isObject })}
            />
          </Labelled>
          <Row>
            {(["app", "owner"] as const).map((name) => (
              <TextField
                key={name}
                name={name}
                label={words(`advanced.${name}`)}
                help={words(`advanced.${name}Help`)}
                input={{ maxLength: 200 }}
              />
            ))}
            <ChoiceField
              name="category"
              label={words("advanced.category")}
              help={words("advanced.categoryHelp")}
              options={["service", "marketing"].map((value) => ({ value, label: words(`advanced.category_${value}`) }))}
            />
            <ChoiceField
              name="missed"
              label={words("advanced.missed")}
              help={words("advanced.missedHelp")}
              options={choices("missed", ["skip", "latest", "all"])}
            />
            <ChoiceField
              name="on_unknown"
              label={words("advanced.on_unknown")}
              help={words("advanced.on_unknownHelp")}
              options={choices("on_unknown", ["resend", "hold"])}
            />
            <TextField
              name="max_active_runs"
              label={words("advanced.max_active_runs")}
              rules={number}
              input={{ inputMode: "numeric", placeholder: "1" }}
            />
            <TextField
              name="retries"
              label={words("advanced.retries")}
              rules={number}
              input={{ inputMode: "numeric", placeholder: "3" }}
            />
            <TextField
              name="retry_delay"
              label={words("advanced.retry_delay")}
              rules={number}
              input={{ inputMode: "decimal", placeholder: "60" }}
            />
          </Row>
        </Stack>
      </Collapsible.Content>
    </Collapsible.Root>
  );
}
