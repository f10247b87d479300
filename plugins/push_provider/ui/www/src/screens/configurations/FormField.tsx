// One field of a configuration's form, as its channel declares it.

import { Field as Frame, Input, NativeSelect, Switch } from "@chakra-ui/react";
import type { TFunction } from "i18next";
import type { ReactNode } from "react";
import { Controller, useFormContext } from "react-hook-form";
import { useTranslation } from "react-i18next";
import { kindOf, schemaOf, type Field, type Values } from "./connection";

type FormFieldProps = { field: Field; placeholder?: string | undefined; note?: string | undefined };

export const pathOf = (field: Field) => `${field.extra ? "extra" : "standard"}.${field.name}` as const;

export function FormField({ field, placeholder, note }: FormFieldProps) {
  const { getFieldState, formState } = useFormContext<Values>();
  const { error } = getFieldState(pathOf(field), formState);
  const help = [field.description, note].filter(Boolean).join(" ");
  return (
    <Frame.Root invalid={error !== undefined} data-field={field.name}>
      {!isSwitch(field) && <Frame.Label>{field.label}</Frame.Label>}
      <Entry field={field} placeholder={placeholder} />
      {help !== "" && <Frame.HelperText overflowWrap="anywhere">{help}</Frame.HelperText>}
      <Frame.ErrorText>{error?.message}</Frame.ErrorText>
    </Frame.Root>
  );
}

/** A choice of yes and no is a switch if it has a default. Without one it may also be left to the service. */
const isSwitch = (field: Field): boolean => kindOf(field) === "boolean" && schemaOf(field).default !== undefined;

function Entry({ field, placeholder }: Omit<FormFieldProps, "note">) {
  const { t } = useTranslation();
  const { register } = useFormContext<Values>();
  const schema = schemaOf(field);
  const kind = kindOf(field);
  if (isSwitch(field)) return <OnOff field={field} />;
  if (kind === "boolean") {
    return (
      <Options field={field}>
        <option value="">{t("configurations.form.asIs")}</option>
        <option value="true">{t("configurations.form.on")}</option>
        <option value="false">{t("configurations.form.off")}</option>
      </Options>
    );
  }
  if (schema.enum !== undefined) {
    const choices = [...new Set(["", ...schema.enum.map((choice) => String(choice ?? ""))])];
    return (
      <Options field={field}>
        {choices.map((choice) => (
          <option key={choice} value={choice}>
            {choice || t("configurations.form.asIs")}
          </option>
        ))}
      </Options>
    );
  }
  const numeric = kind === "integer" || kind === "number";
  return (
    <Input
      {...register(pathOf(field), { validate: (text) => wrong(field, text, t) })}
      type={field.secret ? "password" : "text"}
      inputMode={kind === "integer" ? "numeric" : numeric ? "decimal" : undefined}
      autoComplete={field.secret ? "new-password" : "off"}
      spellCheck={false}
      placeholder={placeholder}
    />
  );
}

function Options({ field, children }: { field: Field; children: ReactNode }) {
  const { register } = useFormContext<Values>();
  return (
    <NativeSelect.Root>
      <NativeSelect.Field {...register(pathOf(field))}>{children}</NativeSelect.Field>
      <NativeSelect.Indicator />
    </NativeSelect.Root>
  );
}

function OnOff({ field }: { field: Field }) {
  const { control } = useFormContext<Values>();
  return (
    <Controller
      control={control}
      name={pathOf(field)}
      render={({ field: { value, onChange, onBlur } }) => (
        <Switch.Root checked={value === "true"} onCheckedChange={({ checked }) => onChange(String(checked))}>
          <Switch.HiddenInput onBlur={onBlur} />
          <Switch.Control />
          <Switch.Label>{field.label}</Switch.Label>
        </Switch.Root>
      )}
    />
  );
}

/** What is wrong with a text, in words; true if nothing is. */
function wrong(field: Field, text: string, t: TFunction): string | true {
  const kind = kindOf(field);
  if (text.trim() === "" || (kind !== "integer" && kind !== "number")) return true;
  const value = Number(text);
  const { minimum, maximum } = schemaOf(field);
  if (!Number.isFinite(value)) return t("configurations.form.number");
  if (kind === "integer" && !Number.isSafeInteger(value)) return t("configurations.form.whole");
  if (minimum !== undefined && value < minimum) return t("configurations.form.least", { limit: minimum });
  if (maximum !== undefined && value > maximum) return t("configurations.form.most", { limit: maximum });
  return true;
}
