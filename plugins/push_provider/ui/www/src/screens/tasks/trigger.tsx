// The dialog that begins an execution now: to other recipients, with other variables, if wanted.

import { Button, chakra, Dialog, Field, Stack, Textarea } from "@chakra-ui/react";
import { useForm, useWatch } from "react-hook-form";
import { useTranslation } from "react-i18next";
import { Problem, type TaskAnswer } from "../../api/client";
import { useTrigger } from "../../api/queries";
import { Foreign } from "../../components/list";
import { say } from "../../components/messages";
import { Refusal } from "../../components/notices";
import { Window } from "../../components/window";
import { bodyOf, linesOf, placeOf, type TriggerForm } from "./triggerBody";
import { Variables } from "./triggerVariables";
import "./words";

type TriggerProps = { task: TaskAnswer; onClose: () => void };

export function TriggerDialog({ open, ...props }: TriggerProps & { open: boolean }) {
  return (
    <Window open={open} size={{ base: "full", md: "lg" }} scrollBehavior="inside" onClose={props.onClose}>
      <TriggerTask {...props} />
    </Window>
  );
}

function TriggerTask({ task, onClose }: TriggerProps) {
  const { t } = useTranslation();
  const trigger = useTrigger();
  const form = useForm<TriggerForm>({ defaultValues: { recipients: "", variables: [] } });
  const { control, register, handleSubmit, setError, formState } = form;
  const named = linesOf(useWatch({ control, name: "recipients" })).length;
  const { errors } = formState;

  const send = async (values: TriggerForm) => {
    const { body, faults } = bodyOf(values, task.recipients > 0);
    faults.forEach(({ place, fault }, index) =>
      setError(place, { message: t(`tasks.trigger.${fault}`) }, { shouldFocus: index === 0 }),
    );
    if (faults.length > 0) return;
    try {
      const begun = await trigger.mutateAsync({ code: task.code, ...body });
      say(t("tasks.did.trigger", { number: begun.number, count: begun.recipients }), task.name);
      onClose();
    } catch (error) {
      // Each refusal beside its field; what has none stands above them all.
      const refused = error instanceof Problem ? error.errors : [];
      const placed = refused.map(({ field, message }, index) => {
        const place = placeOf(field, values);
        if (place === undefined) return false;
        const said = place.line ? t("tasks.trigger.line", { line: place.line, message }) : message;
        setError(place.name, { message: said }, { shouldFocus: index === 0 });
        return true;
      });
      if (placed.length === 0 || placed.includes(false)) setError("root.refused", { message: "" });
    }
  };

  return (
    <chakra.form display="contents" noValidate onSubmit={(event) => void handleSubmit(send)(event)}>
      <Dialog.Header>
        <Stack gap={1} minW={0}>
          <Dialog.Title>{t("tasks.trigger.title")}</Dialog.Title>
          <Foreign>{task.name}</Foreign>
        </Stack>
      </Dialog.Header>
      <Dialog.Body>
        <Stack gap={4}>
          {errors.root?.refused && <Refusal error={trigger.error} />}
          <Field.Root invalid={errors.recipients !== undefined}>
            <Field.Label>{t("tasks.trigger.recipients")}</Field.Label>
            <Textarea rows={5} {...register("recipients")} />
            <Field.HelperText>
              {named > 0
                ? t("tasks.trigger.named", { count: named })
                : task.recipients > 0
                  ? t("tasks.trigger.own", { count: task.recipients })
                  : t("tasks.trigger.none")}
            </Field.HelperText>
            <Field.ErrorText overflowWrap="anywhere">{errors.recipients?.message}</Field.ErrorText>
          </Field.Root>
          <Variables form={form} />
        </Stack>
      </Dialog.Body>
      <Dialog.Footer>
        <Button variant="outline" onClick={onClose}>
          {t("do.cancel")}
        </Button>
        <Button type="submit" colorPalette="brand" loading={trigger.isPending}>
          {t("tasks.trigger.go")}
        </Button>
      </Dialog.Footer>
    </chakra.form>
  );
}
