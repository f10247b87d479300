// A question before what cannot be taken back.

import { Button, Dialog } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Window } from "./window";

type ConfirmProps = {
  open: boolean;
  title: string;
  children?: ReactNode;
  doing?: boolean;
  confirm?: string;
  danger?: boolean;
  onConfirm: () => void;
  onClose: () => void;
};

export function Confirm({ open, title, children, doing = false, confirm, danger = true, onConfirm, onClose }: ConfirmProps) {
  const { t } = useTranslation();
  return (
    <Window open={open} role="alertdialog" onClose={onClose}>
      <Dialog.Header>
        <Dialog.Title overflowWrap="anywhere">{title}</Dialog.Title>
      </Dialog.Header>
      <Dialog.Body overflowWrap="anywhere">{children}</Dialog.Body>
      <Dialog.Footer>
        <Button variant="outline" onClick={onClose}>
          {t("do.keep")}
        </Button>
        <Button colorPalette={danger ? "red" : "brand"} loading={doing} onClick={onConfirm}>
          {confirm ?? t("do.confirm")}
        </Button>
      </Dialog.Footer>
    </Window>
  );
}
