// A dialog: what stands around whatever one says.

import { CloseButton, Dialog, Portal } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

type WindowProps = Pick<Dialog.RootProps, "role" | "size" | "scrollBehavior"> & {
  open: boolean;
  onClose: () => void;
  /** Its header, body and footer. */
  children: ReactNode;
};

export function Window({ open, onClose, children, ...look }: WindowProps) {
  const { t } = useTranslation();
  return (
    <Dialog.Root {...look} open={open} lazyMount unmountOnExit onOpenChange={(change) => !change.open && onClose()}>
      <Portal>
        <Dialog.Backdrop />
        <Dialog.Positioner>
          <Dialog.Content>
            {children}
            <Dialog.CloseTrigger asChild>
              <CloseButton size="sm" aria-label={t("do.close")} />
            </Dialog.CloseTrigger>
          </Dialog.Content>
        </Dialog.Positioner>
      </Portal>
    </Dialog.Root>
  );
}
