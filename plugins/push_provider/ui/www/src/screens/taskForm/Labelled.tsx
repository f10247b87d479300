// A field with its name above it, and below it what is wrong with it or else a word of help.

import { Box, Field, Input, NativeSelect, type InputProps } from "@chakra-ui/react";
import type { ReactElement, ReactNode } from "react";
import { useFormContext, useFormState, type FieldPath, type RegisterOptions } from "react-hook-form";
import { useTranslation } from "react-i18next";
import type { Values } from "./values";

export type Name = FieldPath<Values>;
export type Rules = RegisterOptions<Values, Name>;

/** The screen's own words. */
export function useWords() {
  const { t } = useTranslation();
  return (key: string, options: Record<string, unknown> = {}): string => t(`taskForm.${key}`, options);
}

type LabelledProps = {
  name: Name;
  label: string;
  help?: ReactNode;
  required?: boolean;
  children: ReactElement;
};

export function Labelled({ name, label, help, required = false, children }: LabelledProps) {
  const { control, getFieldState } = useFormContext<Values>();
  const { error } = getFieldState(name, useFormState({ control, name }));
  // What is wrong with a list as a whole stands at its root.
  const { root } = (error ?? {}) as { root?: { message?: string } };
  const message = typeof error?.message === "string" ? error.message : root?.message;
  return (
    <Field.Root invalid={error !== undefined} required={required} minW={0}>
      <Field.Label overflowWrap="anywhere" maxW="100%">
        {label}
        {required && <Field.RequiredIndicator color="red.fg" />}
      </Field.Label>
      {children}
      {error === undefined
        ? help && (
            <Field.HelperText overflowWrap="anywhere" maxW="100%">
              {help}
            </Field.HelperText>
          )
        : message && (
            <Field.ErrorText color="red.fg" overflowWrap="anywhere" maxW="100%" whiteSpace="pre-wrap">
              {message}
            </Field.ErrorText>
          )}
    </Field.Root>
  );
}

type TextProps = Omit<LabelledProps, "children"> & { rules?: Rules; input?: Omit<InputProps, "name"> };

export function TextField({ rules, input, ...labelled }: TextProps) {
  const { register } = useFormContext<Values>();
  const words = useWords();
  const required = labelled.required ? { required: words("required") } : {};
  return (
    <Labelled {...labelled}>
      <Input size="sm" {...input} {...register(labelled.name, { ...required, ...rules } as Rules)} />
    </Labelled>
  );
}

export type Option = { value: string; label: string };
type ChoiceProps = Omit<LabelledProps, "children"> & { options: Option[]; onChosen?: (value: string) => void };

export function ChoiceField({ options, onChosen, ...labelled }: ChoiceProps) {
  const { register, getValues } = useFormContext<Values>();
  const words = useWords();
  const chosen = String(getValues(labelled.name) ?? "");
  // A value that is no option any more is still what the task has.
  const all = options.some(({ value }) => value === chosen) ? options : [...options, { value: chosen, label: chosen }];
  return (
    <Labelled {...labelled}>
      <NativeSelect.Root size="sm">
        <NativeSelect.Field
          {...register(labelled.name, {
            ...(labelled.required ? { required: words("required") } : {}),
            onChange: (event) => onChosen?.(String(event.target.value)),
          } as Rules)}
        >
          {all.map(({ value, label }) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </NativeSelect.Field>
        <NativeSelect.Indicator />
      </NativeSelect.Root>
    </Labelled>
  );
}

/** Fields that belong together, under their name. */
export function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Box as="fieldset" borderWidth="1px" borderRadius="md" p={4} minW={0}>
      <Box as="legend" px={1} fontWeight="semibold">
        {title}
      </Box>
      <Box display="flex" flexDirection="column" gap={4} minW={0}>
        {children}
      </Box>
    </Box>
  );
}

/** Fields beside each other where there is room. */
export function Row({ children }: { children: ReactNode }) {
  return (
    <Box display="grid" gap={4} gridTemplateColumns={{ base: "minmax(0, 1fr)", sm: "repeat(2, minmax(0, 1fr))" }}>
      {children}
    </Box>
  );
}
