// The fields that a channel declares and no form of ours knows, made of their JSON schemas.

import { Textarea } from "@chakra-ui/react";
import { useFormContext } from "react-hook-form";
import type { Schemas } from "../../../api/client";
import { ChoiceField, Labelled, TextField, useWords, type Name, type Rules } from "../Labelled";
import type { Values } from "../values";
import { schemaText, shapeOf } from "./schema";

type FieldAnswer = Schemas["FieldAnswer"];

export function SchemaFields({ channel, fields }: { channel: string; fields: FieldAnswer[] }) {
  return (
    <>
      {fields.map((field) => (
        <SchemaField key={`${channel}.${field.name}`} name={`own.${channel}.${field.name}`} field={field} />
      ))}
    </>
  );
}

function SchemaField({ name, field }: { name: Name; field: FieldAnswer }) {
  const { register, getValues } = useFormContext<Values>();
  const words = useWords();
  const shape = shapeOf(field.schema);
  const labelled = {
    name,
    label: field.title,
    help: field.description ?? undefined,
    required: field.required && !("default" in field.schema && field.schema.default !== null),
  };
  const byDefault = schemaText(field.schema, field.schema.default);
  const required = labelled.required ? { required: words("required") } : {};
  switch (shape.kind) {
    case "choice":
    case "flag": {
      const values = shape.kind === "flag" ? ["true", "false"] : shape.options;
      const none = { value: "", label: byDefault ? words("byDefault", { value: byDefault }) : words("leaveOut") };
      return <ChoiceField {...labelled} options={[none, ...values.map((value) => ({ value, label: value }))]} />;
    }
    case "number":
      return (
        <TextField
          {...labelled}
          rules={{ validate: (text) => text === "" || Number.isFinite(Number(text)) || words("noNumber") }}
          input={{
            inputMode: shape.whole ? "numeric" : "decimal",
            placeholder: byDefault,
          }}
        />
      );
    case "text":
      // A field of one line would lose the breaks that a text has already.
      if (!shape.long && !String(getValues(name)).includes("\n")) {
        return <TextField {...labelled} input={{ placeholder: byDefault, maxLength: shape.max }} />;
      }
      return (
        <Labelled {...labelled}>
          <Textarea rows={6} resize="vertical" maxLength={shape.max} {...register(name, required as Rules)} />
        </Labelled>
      );
    default:
      return (
        <Labelled {...labelled} help={[labelled.help, words("asJson")].filter(Boolean).join(" · ")}>
          <Textarea
            rows={5}
            resize="vertical"
            fontFamily="mono"
            fontSize="sm"
            spellCheck={false}
            placeholder={byDefault}
            {...register(name, {
              ...required,
              validate: (text) => isJson(text) || words("noJson"),
            } as Rules)}
          />
        </Labelled>
      );
  }
}

/** Whether a field holds JSON, or nothing. */
export function isJson(text: unknown): boolean {
  if (typeof text !== "string" || text.trim() === "") return true;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
