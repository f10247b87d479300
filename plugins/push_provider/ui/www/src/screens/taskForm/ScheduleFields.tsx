// When and how often, and the next times of that.

import { Box, List, Text } from "@chakra-ui/react";
import { useFormContext, useWatch } from "react-hook-form";
import { LAST, Moment } from "../../components/moment";
import { wordsOf } from "../../components/messages";
import { useNextExecutions } from "./calls";
import { executionOf, scheduleOf } from "./document";
import { ChoiceField, Row, Section, TextField, useWords } from "./Labelled";
import { KINDS, type Values } from "./values";

/** The time zones that the browser knows; UTC is none of its. */
const ZONES = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((name) => name !== "UTC")];

const COUNT = /^[1-9]\d{0,9}$/;

export function ScheduleFields() {
  const words = useWords();
  const { control } = useFormContext<Values>();
  const type = useWatch({ control, name: "execution.type" });
  const kind = useWatch({ control, name: "schedule.kind" });
  return (
    <Section title={words("schedule.title")}>
      <Row>
        <ChoiceField
          name="execution.type"
          label={words("schedule.execution")}
          options={["once", "loop"].map((value) => ({ value, label: words(`schedule.${value}`) }))}
        />
        {type === "loop" && (
          <TextField
            name="execution.max_executions"
            label={words("schedule.max")}
            help={words("schedule.maxHelp")}
            input={{ inputMode: "numeric" }}
            rules={{ validate: (text) => text === "" || COUNT.test(String(text).trim()) || words("noCount") }}
          />
        )}
      </Row>
      <Row>
        <ChoiceField
          name="schedule.kind"
          label={words("schedule.kind")}
          options={KINDS.map((value) => ({ value, label: words(`schedule.${value}`) }))}
        />
        {kind === "at" && (
          <TextField
            name="schedule.at"
            label={words("schedule.moment")}
            required
            input={{ type: "datetime-local", max: LAST }}
          />
        )}
        {kind === "hourly" && (
          <TextField
            name="schedule.minute"
            label={words("schedule.minute")}
            required
            input={{ type: "number", min: 0, max: 59 }}
            rules={{ validate: (text) => /^[0-5]?\d$/.test(String(text)) || words("schedule.noMinute") }}
          />
        )}
        {kind === "daily" && (
          <TextField name="schedule.time" label={words("schedule.time")} required input={{ type: "time" }} />
        )}
        {kind === "cron" && (
          <TextField
            name="schedule.cron"
            label={words("schedule.expression")}
            help={words("schedule.cronHelp")}
            required
            input={{ fontFamily: "mono", placeholder: "30 9 * * mon-fri", autoComplete: "off", spellCheck: false }}
          />
        )}
      </Row>
      {kind !== "now" && kind !== "manual" && (
        <Row>
          <TextField
            name="schedule.timezone"
            label={words("schedule.timezone")}
            help={words("schedule.timezoneHelp")}
            input={{ list: "push-time-zones", autoComplete: "off", spellCheck: false }}
          />
          <datalist id="push-time-zones">
            {ZONES.map((name) => (
              <option key={name} value={name} />
            ))}
          </datalist>
        </Row>
      )}
      <NextExecutions />
    </Section>
  );
}

function NextExecutions() {
  const words = useWords();
  const { control } = useFormContext<Values>();
  const [schedule, execution] = useWatch({ control, name: ["schedule", "execution"] });
  const document = scheduleOf(schedule);
  const whole = {
    now: true,
    manual: false,
    at: "at" in document,
    hourly: "minute" in document,
    daily: "time" in document,
    cron: "cron" in document,
  }[schedule.kind];
  const asked = whole ? JSON.stringify({ schedule: document, execution: executionOf(execution), count: 5 }) : null;
  const { data, error } = useNextExecutions(asked);
  if (!whole) {
    return (
      <Text fontSize="sm" color="fg.muted">
        {words(schedule.kind === "manual" ? "schedule.byHand" : "schedule.incomplete")}
      </Text>
    );
  }
  return (
    <Box role="status" aria-label={words("schedule.next")} fontSize="sm" data-testid="next-executions">
      {error ? (
        <Text color="red.fg" overflowWrap="anywhere" whiteSpace="pre-wrap">
          {error.errors.length > 0 ? error.errors.map(({ message }) => message).join("\n") : wordsOf(error)}
        </Text>
      ) : (
        data && (
          <>
            <Text fontWeight="medium">{words("schedule.nextIn", { zone: data.timezone })}</Text>
            <List.Root as="ol" ps={5} fontVariantNumeric="tabular-nums">
              {data.items.map((at) => (
                <List.Item key={at}>
                  <Moment at={at} timeZone={data.timezone} />
                </List.Item>
              ))}
            </List.Root>
            <Text color="fg.muted">{words(data.ends ? "schedule.ends" : "schedule.goesOn")}</Text>
          </>
        )
      )}
    </Box>
  );
}
