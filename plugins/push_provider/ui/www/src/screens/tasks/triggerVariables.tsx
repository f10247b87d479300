// The variables of one execution: a row of name, kind and value for each.

import { Button, Field, HStack, IconButton, Input, NativeSelect, Stack, Text, Textarea } from "@chakra-ui/react";
import { useFieldArray, type UseFormReturn } from "react-hook-form";
import { useTranslation } from "react-i18next";
import type { TriggerForm } from "./triggerBody";

export function Variables({ form }: { form: UseFormReturn<TriggerForm> }) {
  const { t } = useTranslation();
  const { control, register, formState } = form;
  const { fields, append, remove } = useFieldArray({ control, name: "variables" });
  return (
    <Stack as="fieldset" gap={2}>
      <Text as="legend" fontWeight="medium" fontSize="sm">
        {t("tasks.trigger.variables")}
      </Text>
      <Text fontSize="xs" color="fg.muted">
        {t("tasks.trigger.variablesHint")}
      </Text>
      {fields.map(({ id }, index) => {
        const errors = formState.errors.variables?.[index];
        const number = index + 1;
        return (
          <Field.Root key={id} invalid={errors !== undefined}>
            <HStack gap={2} wrap="wrap" w="full" align="start">
              {/* Their own ids: those of the field's root would be the same for both. */}
              <Input
                id={`${id}-name`}
                size="sm"
                flex="1 1 7rem"
                aria-label={t("tasks.trigger.name", { number })}
                placeholder={t("field.name")}
                {...register(`variables.${index}.name`)}
              />
              <NativeSelect.Root size="sm" w="6rem">
                <NativeSelect.Field
                  id={`${id}-kind`}
                  aria-label={t("tasks.trigger.kind", { number })}
                  {...register(`variables.${index}.kind`)}
                >
                  <option value="text">{t("tasks.trigger.text")}</option>
                  <option value="json">JSON</option>
                </NativeSelect.Field>
                <NativeSelect.Indicator />
              </NativeSelect.Root>
              <Textarea
                id={`${id}-value`}
                size="sm"
                rows={1}
                flex="2 1 9rem"
                autoresize
                maxH="10rem"
                aria-label={t("tasks.trigger.value", { number })}
                {...register(`variables.${index}.value`)}
              />
              <IconButton
                size="sm"
                variant="ghost"
                aria-label={t("tasks.trigger.remove", { number })}
                onClick={() => remove(index)}
              >
                ×
              </IconButton>
            </HStack>
            <Field.ErrorText overflowWrap="anywhere">{errors?.name?.message ?? errors?.value?.message}</Field.ErrorText>
          </Field.Root>
        );
      })}
      <Button
        size="xs"
        variant="outline"
        alignSelf="start"
        onClick={() => append({ name: "", kind: "text", value: "" })}
      >
        {t("tasks.trigger.add")}
      </Button>
    </Stack>
  );
}
