// An email: its subject, its body written here or taken from a template file, its attachments.

import { Textarea } from "@chakra-ui/react";
import { useFormContext, useWatch } from "react-hook-form";
import { ChoiceField, Labelled, Row, TextField, useWords } from "../Labelled";
import type { Attachment, Values } from "../values";
import { Attachments } from "./Attachments";
import type { ChannelForm } from "./channelForm";

export const emailForm: ChannelForm = {
  handles: ["subject", "content", "content_type", "template", "attachments"],
  Fields: EmailFields,
  read: (spec) => ({
    own: {
      email: {
        subject: spec.subject ?? "",
        content: spec.content ?? "",
        content_type: spec.content_type ?? "html",
        template: spec.template ?? "",
      },
    },
    source: spec.template ? "template" : "content",
    attachments: (spec.attachments ?? []) as Attachment[],
  }),
  write: ({ own, source, attachments }) => {
    const { subject = "", content = "", content_type = "html", template = "" } = own.email ?? {};
    return {
      subject: subject || undefined,
      content: source === "content" ? content || undefined : undefined,
      template: source === "template" ? template.trim() || undefined : undefined,
      content_type,
      attachments: attachments.length > 0 ? attachments : undefined,
    };
  },
  ready: ({ own, source }) => Boolean(own.email?.subject?.trim() && own.email[source]?.trim()),
  place: (name) => (name === "attachments" ? "attachments" : `own.email.${name}`),
  example: "someone@example.com",
};

function EmailFields() {
  const words = useWords();
  const { register, control } = useFormContext<Values>();
  const source = useWatch({ control, name: "source" });
  return (
    <>
      <TextField
        name="own.email.subject"
        label={words("email.subject")}
        help={words("email.subjectHelp", { example: "{{ name }}" })}
        required
        rules={{ maxLength: { value: 1_000, message: words("tooLong", { max: 1_000 }) } }}
      />
      <Row>
        <ChoiceField
          name="source"
          label={words("email.source")}
          options={[
            { value: "content", label: words("email.sourceContent") },
            { value: "template", label: words("email.sourceTemplate") },
          ]}
        />
        <ChoiceField
          name="own.email.content_type"
          label={words("email.type")}
          help={words("email.typeHelp")}
          options={["html", "markdown", "text"].map((value) => ({ value, label: words(`email.${value}`) }))}
        />
      </Row>
      {source === "content" ? (
        <Labelled name="own.email.content" label={words("email.content")} help={words("email.contentHelp")} required>
          <Textarea
            rows={12}
            resize="vertical"
            fontFamily="mono"
            fontSize="sm"
            spellCheck={false}
            {...register("own.email.content", { required: words("required") })}
          />
        </Labelled>
      ) : (
        <TextField
          name="own.email.template"
          label={words("email.template")}
          help={words("email.templateHelp")}
          required
          input={{ placeholder: "welcome.html" }}
        />
      )}
      <Attachments />
    </>
  );
}
