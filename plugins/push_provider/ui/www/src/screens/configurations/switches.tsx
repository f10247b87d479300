// The switches of a configuration, which do at once what they say.

import { Switch } from "@chakra-ui/react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Config } from "../../api/client";
import { useMakeDefault, useRights } from "../../api/queries";
import { say, sayRefused } from "../../components/messages";
import { useChangeConnection } from "./calls";

export function EnabledSwitch({ config }: { config: Config }) {
  const { t } = useTranslation();
  const { change, pending } = useChangeConnection();
  const [wanted, setWanted] = useState<boolean | null>(null);
  const flip = async (enabled: boolean) => {
    setWanted(enabled);
    try {
      await change(config.id, { standard: {}, extra: { enabled } });
      say(t(enabled ? "configurations.enabledNow" : "configurations.disabledNow", { id: config.id }));
    } catch (error) {
      sayRefused(error);
    } finally {
      setWanted(null);
    }
  };
  return (
    <Flip
      label={t("configurations.enable", { id: config.id })}
      on={wanted ?? config.enabled}
      may={useRights().may("edit configurations")}
      fixed={pending}
      onFlip={(on) => void flip(on)}
    />
  );
}

/** On for one of a channel at most. It goes off by another one's going on. */
export function DefaultSwitch({ config }: { config: Config }) {
  const { t } = useTranslation();
  const make = useMakeDefault();
  const why = config.is_default ? "isDefault" : config.enabled ? undefined : "disabled";
  const flip = () =>
    make.mutate(config.id, {
      onSuccess: () => say(t("configurations.defaultNow", { id: config.id })),
      onError: sayRefused,
    });
  return (
    <Flip
      label={t("configurations.makeDefault", { id: config.id })}
      on={config.is_default || make.isPending}
      may={useRights().may("edit configurations")}
      fixed={why !== undefined || make.isPending}
      why={why && t(`configurations.${why}`)}
      onFlip={flip}
    />
  );
}

type FlipProps = {
  label: string;
  on: boolean;
  may: boolean;
  fixed: boolean;
  why?: string | undefined;
  onFlip: (on: boolean) => void;
};

/** A switch for those who may, and a word for the others. */
function Flip({ label, on, may, fixed, why, onFlip }: FlipProps) {
  const { t } = useTranslation();
  if (!may) return <>{t(on ? "field.yes" : "field.no")}</>;
  return (
    <Switch.Root size="sm" checked={on} disabled={fixed} title={why} onCheckedChange={({ checked }) => onFlip(checked)}>
      <Switch.HiddenInput aria-label={label} />
      <Switch.Control />
    </Switch.Root>
  );
}
