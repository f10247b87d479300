// A question before what cannot be taken back.

import { Button, CloseButton, Dialog, Portal } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

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
    <Dialog.Root open={open} role="alertdialog" lazyMount unmountOnExit onOpenChange={(change) => !change.open && onClose()}>
      <Portal>
        <Dialog.Backdrop />
        <Dialog.Positioner>
          <Dialog.Content>
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
            <Dialog.CloseTrigger asChild>
              <CloseButton size="sm" aria-label={t("do.close")} />
            </Dialog.CloseTrigger>
          </Dialog.Content>
        </Dialog.Positioner>
      </Portal>
    </Dialog.Root>
  );
}
