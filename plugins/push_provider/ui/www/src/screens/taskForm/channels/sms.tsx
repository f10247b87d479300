// An SMS: the parameters of the provider's approved template as fields, each named after its placeholder.

import { Button, HStack, Input, Text, Textarea } from "@chakra-ui/react";
import { useEffect, useMemo, useState } from "react";
import { useFieldArray, useFormContext, useWatch } from "react-hook-form";
import { useParams } from "react-router-dom";
import { useConfigs } from "../../../api/queries";
import { Labelled, Row, TextField, useWords } from "../Labelled";
import type { Parameter, Values } from "../values";
import { isVariable } from "../variables";
import type { ChannelForm } from "./channelForm";
import { placeholdersOf } from "./smsText";

export const smsForm: ChannelForm = {
  handles: ["content", "template_code", "sign_name"],
  Fields: SmsFields,
  read: (spec) => ({
    own: { sms: { template_code: spec.template_code ?? "", sign_name: spec.sign_name ?? "" } },
    parameters: parametersOf(spec.content),
  }),
  write: ({ own, parameters }) => ({
    content: parameters.length > 0 ? contentOf(parameters) : undefined,
    template_code: own.sms?.template_code?.trim() || undefined,
    sign_name: own.sms?.sign_name?.trim() || undefined,
  }),
  ready: () => true,
  place: (name) => (name === "content" ? "parameters" : `own.sms.${name}`),
  example: "13800138000",
};

const contentOf = (parameters: Parameter[]): string =>
  JSON.stringify(Object.fromEntries(parameters.map(({ name, value }) => [name, value])));

function parametersOf(content: string | null | undefined): Parameter[] {
  try {
    const given = JSON.parse(content ?? "{}") as Record<string, unknown>;
    return Object.entries(given).map(([name, value]) => ({ name, value: String(value) }));
  } catch {
    return []; // stored by another version
  }
}

/** A parameter takes the variable of its name, if a variable can have it. */
const suggested = (name: string): Parameter => ({ name, value: isVariable(name) ? `{{ ${name} }}` : "" });

/** What is known of the configuration that an SMS goes through: the one chosen, or the default one. */
export function useSmsConfig() {
  const { control } = useFormContext<Values>();
  const chosen = useWatch({ control, name: "config" });
  const { data } = useConfigs(false); // those that the form has asked for, if it may
  const all = data?.items.filter(({ channel }) => channel === "sms") ?? [];
  const config = chosen ? all.find(({ id }) => id === chosen) : all.find(({ is_default }) => is_default);
  const setting = (name: string): string => String(config?.settings[name] ?? "");
  return {
    signature: setting("sign_name"),
    template: setting("template_code"),
    note: setting("params_note"),
    international: setting("template_kind") === "international",
  };
}

function SmsFields() {
  const words = useWords();
  const { register, control, getValues } = useFormContext<Values>();
  const { fields, append, remove } = useFieldArray({ control, name: "parameters" });
  const config = useSmsConfig();
  const text = useWatch({ control, name: "templateText" });
  // A task that exists gets no parameters that nobody asked for: its variables may be given as they are.
  const note = useParams().code === undefined ? config.note : "";
  const known = useMemo(() => [...new Set([...placeholdersOf(text), ...placeholdersOf(note)])], [text, note]);
  const [name, setName] = useState("");

  // A placeholder gets its field as soon as it is known, and what was typed stays.
  useEffect(() => {
    const there = new Set(getValues("parameters").map((parameter) => parameter.name));
    const lacking = known.filter((one) => !there.has(one));
    if (lacking.length > 0) append(lacking.map(suggested), { shouldFocus: false });
  }, [known, append, getValues]);

  const add = () => {
    const wanted = name.trim();
    if (wanted === "" || getValues("parameters").some((parameter) => parameter.name === wanted)) return;
    append({ name: wanted, value: "" });
    setName("");
  };
  return (
    <>
      <Row>
        <TextField
          name="own.sms.template_code"
          label={words("sms.template")}
          help={words("sms.ofConfig")}
          input={{ placeholder: config.template || "SMS_154950909", maxLength: 100 }}
        />
        <TextField
          name="own.sms.sign_name"
          label={words("sms.signature")}
          help={words("sms.ofConfig")}
          input={{ placeholder: config.signature, maxLength: 100 }}
        />
      </Row>
      <Labelled name="templateText" label={words("sms.text")} help={words("sms.textHelp")}>
        <Textarea rows={2} resize="vertical" placeholder={words("sms.textExample")} {...register("templateText")} />
      </Labelled>
      {config.note && (
        <Text fontSize="sm" color="fg.muted" overflowWrap="anywhere">
          {words("sms.note")}: <bdi>{config.note}</bdi>
        </Text>
      )}
      {fields.map((parameter, index) => (
        <HStack key={parameter.id} align="end" gap={2} minW={0}>
          <Labelled name={`parameters.${index}.value`} label={parameter.name}>
            <Textarea
              size="sm"
              rows={1}
              resize="vertical"
              {...register(`parameters.${index}.value`, {
                maxLength: { value: 10_000, message: words("tooLong", { max: 10_000 }) },
              })}
            />
          </Labelled>
          <Button
            size="sm"
            variant="ghost"
            flexShrink={0}
            aria-label={words("removeNamed", { name: parameter.name })}
            onClick={() => remove(index)}
          >
            {words("remove")}
          </Button>
        </HStack>
      ))}
      <Labelled
        name="parameters"
        label={words("sms.newParameter")}
        help={words(fields.length > 0 ? "sms.help" : "sms.none")}
      >
        <HStack w="100%">
          <Input
            size="sm"
            maxLength={100}
            aria-label={words("sms.newParameter")}
            value={name}
            placeholder="code"
            onChange={({ target }) => setName(target.value)}
            onKeyDown={(event) => {
              if (event.key !== "Enter") return;
              event.preventDefault(); // which would save the task
              add();
            }}
          />
          <Button size="sm" variant="outline" flexShrink={0} onClick={add}>
            {words("sms.add")}
          </Button>
        </HStack>
      </Labelled>
    </>
  );
}
