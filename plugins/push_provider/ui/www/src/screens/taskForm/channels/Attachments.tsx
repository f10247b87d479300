// An email's files: carried in the task itself, or lying below include/ on the server.

import { Box, Button, HStack, Input, Text } from "@chakra-ui/react";
import { useRef, useState } from "react";
import { useController, useFormContext } from "react-hook-form";
import { useTranslation } from "react-i18next";
import { sayRefused } from "../../../components/messages";
import { Labelled, useWords } from "../Labelled";
import type { Attachment, Values } from "../values";

/** Bytes of all files of a task that the API takes. */
const LIMIT = 10 * 1024 * 1024;

const nameOf = (file: Attachment): string => (typeof file === "string" ? file : file.name);
const sizeOf = (file: Attachment): number =>
  typeof file === "string" ? 0 : Math.floor(file.content_base64.length * 0.75);

function base64(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, "")); // what follows "data:…;base64,"
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

export function Attachments() {
  const { control, getValues, setError, clearErrors } = useFormContext<Values>();
  const reading = useRef<Promise<unknown>>(Promise.resolve());
  // Whoever saves meanwhile waits for what is being read.
  const rules = { validate: () => reading.current.then(() => true) };
  const { field } = useController({ control, name: "attachments", rules });
  const { i18n } = useTranslation();
  const words = useWords();
  const [path, setPath] = useState("");
  const files = field.value;

  const add = async (chosen: FileList | null) => {
    if (chosen === null || chosen.length === 0) return;
    const total = files.reduce((sum, file) => sum + sizeOf(file), 0);
    if ([...chosen].reduce((sum, { size }) => sum + size, total) > LIMIT) {
      setError("attachments", { type: "size", message: words("email.tooLarge") });
      return;
    }
    clearErrors("attachments");
    try {
      const read = [...chosen].map(async (file) => ({ name: file.name, content_base64: await base64(file) }));
      const added = await Promise.all(read);
      field.onChange([...getValues("attachments"), ...added]); // others may have come meanwhile
    } catch (error) {
      sayRefused(error);
    }
  };
  const addPath = () => {
    if (path.trim() === "") return;
    field.onChange([...files, path.trim()]);
    setPath("");
  };
  return (
    <Box minW={0}>
      <Labelled name="attachments" label={words("email.attachments")} help={words("email.attachmentsHelp")}>
        <Input
          type="file"
          multiple
          size="sm"
          p={1}
          onChange={({ target }) => {
            const added = add(target.files).finally(() => (target.value = ""));
            reading.current = Promise.all([reading.current, added]);
          }}
        />
      </Labelled>
      <HStack mt={2} maxW="100%">
        <Input
          size="sm"
          value={path}
          aria-label={words("email.path")}
          placeholder="attachments/shared/prices.pdf"
          onChange={({ target }) => setPath(target.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter") return;
            event.preventDefault(); // which would save the task
            addPath();
          }}
        />
        <Button size="sm" variant="outline" flexShrink={0} onClick={addPath}>
          {words("email.addPath")}
        </Button>
      </HStack>
      {files.length > 0 && (
        <Box as="ul" listStyleType="none" mt={2} aria-label={words("email.attachments")}>
          {files.map((file, index) => (
            <HStack as="li" key={`${index}-${nameOf(file)}`} justify="space-between" gap={2} minW={0}>
              <Text as="bdi" overflowWrap="anywhere" minW={0} fontSize="sm">
                {nameOf(file)}
                {typeof file !== "string" && (
                  <Text as="span" color="fg.muted">
                    {` · ${new Intl.NumberFormat(i18n.language).format(Math.ceil(sizeOf(file) / 1024))} KiB`}
                  </Text>
                )}
              </Text>
              <Button
                size="xs"
                variant="ghost"
                flexShrink={0}
                aria-label={words("removeNamed", { name: nameOf(file) })}
                onClick={() => field.onChange(files.filter((_, other) => other !== index))}
              >
                {words("remove")}
              </Button>
            </HStack>
          ))}
        </Box>
      )}
    </Box>
  );
}
