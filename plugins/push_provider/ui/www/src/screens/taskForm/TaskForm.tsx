// The form of a push task, new or changed, with the message that it makes beside it.

import { Alert, Box, Button, Grid, HStack, Heading, Stack } from "@chakra-ui/react";
import { useRef, useState, type FormEvent } from "react";
import { FormProvider, useForm, useWatch } from "react-hook-form";
import { useTranslation } from "react-i18next";
import { Link, useNavigate } from "react-router-dom";
import { screen } from "../../app/places";
import { Problem } from "../../api/client";
import { useChangeTask } from "../../api/queries";
import { say } from "../../components/messages";
import { spoken } from "../../components/moment";
import { AdvancedFields } from "./AdvancedFields";
import { BasicFields } from "./BasicFields";
import { useCreate } from "./calls";
import { formOf } from "./channels/forms";
import { SchemaFields } from "./channels/SchemaFields";
import { documentOf, type ChannelAnswer } from "./document";
import { isOvertaken, lostFiles, resumed, type Draft } from "./draft";
import { place as placeErrors } from "./errors";
import { Section, useWords } from "./Labelled";
import { lostNulls, patchOf } from "./patch";
import { PreviewPane } from "./PreviewPane";
import { RecipientFields } from "./recipients/RecipientFields";
import { asRecipients, useRoll } from "./recipients/useRoll";
import { ScheduleFields } from "./ScheduleFields";
import { SendTest } from "./SendTest";
import type { Starting } from "./starting";
import { useDraft } from "./useDraft";
import type { Values } from "./values";

type TaskFormProps = {
  title: string;
  /** Of the push task that is changed; undefined for a new one. */
  code: string | undefined;
  channels: ChannelAnswer[];
  starting: Starting;
  draft: Draft | null;
  user: string;
  /** The form, among all that the user may have begun. */
  place: string;
  /** The draft is not wanted. */
  onDiscard: () => void;
};

export function TaskForm({ title, code, channels, starting, draft, user, place, onDiscard }: TaskFormProps) {
  const { t, i18n } = useTranslation();
  const words = useWords();
  const navigate = useNavigate();
  const [origin] = useState(starting); // what changes are told from, whatever is read of the task later
  const [begun] = useState(() => (draft === null ? origin.values : resumed(origin.values, draft)));
  const form = useForm<Values>({ defaultValues: begun });
  const channelName = useWatch({ control: form.control, name: "channel" });
  const channel = channels.find(({ name }) => name === channelName);
  const drafted = typeof draft?.sources === "object" ? draft.sources : null;
  const roll = useRoll(channelName, drafted ?? origin.sources, drafted !== null);
  const kept = useDraft(form, { ...origin, before: drafted === null ? undefined : draft?.before }, roll, user, place);
  const [chosen, setChosen] = useState(0);
  const [saving, setSaving] = useState(false);
  const element = useRef<HTMLFormElement>(null);
  const create = useCreate();
  const change = useChangeTask();
  const { Fields, handles } = formOf(channelName);
  const others = channel?.fields.filter(({ name }) => !handles.includes(name)) ?? [];
  const refused = form.formState.errors.root?.server?.message;

  const showFirstFault = () =>
    setTimeout(() => {
      const fault = element.current?.querySelector<HTMLElement>('[aria-invalid="true"], [role="alert"]');
      fault?.focus();
      fault?.scrollIntoView({ block: "center" });
    }, 50); // once what is folded has opened

  const sound = (): Promise<boolean> => {
    form.clearErrors();
    return new Promise((resolve) => void form.handleSubmit(() => resolve(true), () => resolve(false))());
  };

  const save = async () => {
    const checked = await roll.settled();
    const sent = checked.lines.filter(({ fault }) => fault === undefined);
    const wrong = checked.wrong.length;
    const listed = code === undefined || roll.touched.current || (roll.leaveOut && wrong > 0);
    const complaint =
      listed && wrong > 0 && !roll.leaveOut
        ? words("recipients.someWrong", { total: wrong })
        : listed && sent.length === 0 && form.getValues("schedule.kind") !== "manual"
          ? words("recipients.none")
          : undefined;
    roll.complain(complaint);
    if (!(await sound()) || complaint !== undefined) {
      showFirstFault();
      return;
    }
    const task = documentOf(form.getValues(), channel);
    const recipients = listed ? { recipients: asRecipients(sent) } : {};
    const before = code === undefined ? {} : documentOf(origin.values, channel);
    const body = { ...(code === undefined ? task : patchOf(before, task)), ...recipients };
    try {
      let saved = code;
      if (code === undefined) saved = (await create.mutateAsync(body)).code;
      else {
        const lost = lostNulls(before, task).map((field) => ({ field, message: words("noNull") }));
        if (lost.length > 0) throw new Problem(422, "null", words("noNull"), lost);
        if (Object.keys(body).length > 0) await change.mutateAsync({ code, patch: body });
      }
      kept.forget();
      say(words("saved"));
      navigate(screen(`tasks/${saved}`));
    } catch (error) {
      const declared = new Set(channel?.fields.map(({ name }) => name));
      placeErrors(error, { form, roll, sent, declared, body });
      showFirstFault();
    }
  };
  const { all, recipients, files } = kept.leftOut;
  const leftOut = [
    all && words("draft.nothing"),
    recipients && words("draft.tooMany"),
    files > 0 && words("draft.tooLarge", { total: files }),
  ].filter((said) => said !== false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (saving || roll.reading !== undefined) return; // the Enter key asks no button
    setSaving(true);
    void save().finally(() => setSaving(false));
  };
  return (
    <FormProvider {...form}>
      <Heading as="h2" size="lg" mb={3} overflowWrap="anywhere">
        {title}
      </Heading>
      {draft && (
        <Alert.Root status="info" mb={3} data-testid="draft">
          <Alert.Indicator />
          <Alert.Content>
            <Alert.Title>{words("draft.shown", { time: spoken(draft.at, i18n.language) })}</Alert.Title>
            {draft.sources === "too many" && <Alert.Description>{words("draft.noRecipients")}</Alert.Description>}
            {lostFiles(draft) > 0 && (
              <Alert.Description>{words("draft.noFiles", { total: lostFiles(draft) })}</Alert.Description>
            )}
            {isOvertaken(draft, origin.sources) && <Alert.Description>{words("draft.overtaken")}</Alert.Description>}
          </Alert.Content>
          <Button
            size="xs"
            variant="outline"
            onClick={() => {
              kept.forget();
              onDiscard();
            }}
          >
            {words("draft.discard")}
          </Button>
        </Alert.Root>
      )}
      <form ref={element} noValidate onSubmit={submit} aria-label={title}>
        <Grid
          gap={6}
          templateColumns={{ base: "minmax(0, 1fr)", xl: "minmax(0, 3fr) minmax(0, 2fr)" }}
          alignItems="start"
        >
          <Stack gap={4}>
            <BasicFields channels={channels} editing={code !== undefined} />
            <ScheduleFields />
            <Section title={words("recipients.title")}>
              <RecipientFields roll={roll} channel={channelName} onPreview={setChosen} />
            </Section>
            <Section title={words("content.title")}>
              {Fields && <Fields key={channelName} />}
              <SchemaFields channel={channelName} fields={others} />
            </Section>
            <AdvancedFields />
            {refused !== undefined && (
              <Alert.Root status="error" role="alert" tabIndex={-1}>
                <Alert.Indicator />
                <Alert.Content>
                  <Alert.Title>{t("fault.refused")}</Alert.Title>
                  <Alert.Description whiteSpace="pre-wrap" overflowWrap="anywhere">
                    {refused}
                  </Alert.Description>
                </Alert.Content>
              </Alert.Root>
            )}
            {leftOut.length > 0 && (
              <Alert.Root status="info" size="sm">
                <Alert.Indicator />
                <Alert.Title whiteSpace="pre-wrap">{leftOut.join("\n")}</Alert.Title>
              </Alert.Root>
            )}
            <HStack wrap="wrap" gap={2}>
              <Button
                type="submit"
                colorPalette="brand"
                loading={saving || roll.reading !== undefined}
                loadingText={words(saving ? "saving" : "recipients.stillRead")}
              >
                {t("do.save")}
              </Button>
              <SendTest channel={channel} like={roll.checked.lines[chosen]} check={sound} />
              <Button variant="ghost" asChild>
                <Link to={screen(code === undefined ? "tasks" : `tasks/${code}`)}>{t("do.back")}</Link>
              </Button>
            </HStack>
          </Stack>
          <Box position={{ xl: "sticky" }} top={2} minW={0}>
            <PreviewPane roll={roll} channel={channel} chosen={chosen} onChosen={setChosen} />
          </Box>
        </Grid>
      </form>
    </FormProvider>
  );
}
