// What it is called, how it is sent, and through which configuration.

import { useFormContext, useWatch } from "react-hook-form";
import { useTranslation } from "react-i18next";
import { useConfigs, useRights } from "../../api/queries";
import type { ChannelAnswer } from "./document";
import { ChoiceField, Row, Section, TextField, useWords } from "./Labelled";
import type { Values } from "./values";

const CODE = /^[a-z0-9][a-z0-9_-]{0,63}$/;

type BasicFieldsProps = { channels: ChannelAnswer[]; editing: boolean };

export function BasicFields({ channels, editing }: BasicFieldsProps) {
  const { t } = useTranslation();
  const words = useWords();
  const { setValue } = useFormContext<Values>();
  return (
    <Section title={words("basic.title")}>
      <Row>
        <TextField
          name="name"
          label={t("field.name")}
          required
          input={{ maxLength: 200, autoFocus: !editing }}
          rules={{ validate: (text) => String(text).trim() !== "" || words("required") }}
        />
        <TextField
          name="code"
          label={t("field.code")}
          help={words(editing ? "basic.fixed" : "basic.codeHelp")}
          input={{ maxLength: 64, spellCheck: false, autoComplete: "off", readOnly: editing }}
          rules={{
            validate: (text) => text === "" || CODE.test(String(text).trim()) || words("basic.noCode"),
          }}
        />
      </Row>
      <Row>
        {editing ? (
          <TextField name="channel" label={t("channel.label")} help={words("basic.fixed")} input={{ readOnly: true }} />
        ) : (
          <ChoiceField
            name="channel"
            label={t("channel.label")}
            required
            options={channels.map(({ name, label }) => ({ value: name, label: t(`channel.${name}`, label) }))}
            onChosen={() => setValue("config", "")}
          />
        )}
        <ConfigField />
      </Row>
    </Section>
  );
}

function ConfigField() {
  const { t } = useTranslation();
  const words = useWords();
  const rights = useRights();
  const { control } = useFormContext<Values>();
  const channel = useWatch({ control, name: "channel" });
  const { data } = useConfigs(rights.may("read configurations"));
  const label = words("basic.config");
  // Who may not see them may still name one.
  if (data === undefined) {
    return <TextField name="config" label={label} help={words("basic.configHelp")} input={{ maxLength: 250 }} />;
  }
  const fitting = data.items.filter((config) => config.channel === channel);
  const standard = fitting.find(({ is_default }) => is_default);
  const none = standard ? words("basic.defaultIs", { name: standard.id }) : t("field.default");
  return (
    <ChoiceField
      key={channel}
      name="config"
      label={label}
      help={fitting.length === 0 ? words("basic.noConfig") : undefined}
      options={[
        { value: "", label: none },
        ...fitting.map(({ id, sender, enabled }) => ({
          value: id,
          label: [id, sender, enabled ? "" : words("basic.off")].filter(Boolean).join(" · ").slice(0, 120),
        })),
      ]}
    />
  );
}
