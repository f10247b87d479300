// The chart itself, in a module of its own with the library that draws it: only what it needs of it.

import { BarController, BarElement, CategoryScale, Chart as Library, Legend, LinearScale, Tooltip } from "chart.js";
import type { ChartData, ChartOptions } from "chart.js";
import { Bar } from "react-chartjs-2";
import { useTranslation } from "react-i18next";
import { useColors } from "./colors";
import type { Row } from "./figures";

Library.register(BarController, BarElement, CategoryScale, LinearScale, Legend, Tooltip);

const PALETTE = ["blue.solid", "orange.solid", "teal.solid", "purple.solid", "pink.solid", "gray.solid"];
const THEME = ["fg.muted", "border", "bg.panel", "fg"];

type ChartProps = {
  rows: Row[];
  channels: string[];
  label: (row: Row) => string;
  nameOf: (channel: string) => string;
};

export default function Chart({ rows, channels, label, nameOf }: ChartProps) {
  const { t } = useTranslation();
  const [muted = "", line = "", panel = "", text = "", ...palette] = useColors([...THEME, ...PALETTE]);
  const data: ChartData<"bar", number[], string> = {
    labels: rows.map(label),
    datasets: channels.map((channel, index) => {
      const color = palette[index % palette.length];
      return {
        label: nameOf(channel),
        data: rows.map(({ of }) => of.get(channel)?.deliveries ?? 0),
        backgroundColor: color,
        hoverBackgroundColor: color,
      };
    }),
  };
  const options: ChartOptions<"bar"> = {
    maintainAspectRatio: false,
    animation: false, // it is drawn anew every few seconds
    interaction: { mode: "index", intersect: false },
    scales: {
      x: {
        stacked: true,
        ticks: { color: muted, maxRotation: 0, autoSkipPadding: 12 },
        grid: { display: false },
        border: { color: line },
      },
      y: {
        stacked: true,
        beginAtZero: true,
        ticks: { color: muted, precision: 0 },
        grid: { color: line },
        border: { display: false },
      },
    },
    plugins: {
      legend: { position: "bottom", labels: { color: text, boxWidth: 12 } },
      tooltip: {
        backgroundColor: panel,
        titleColor: text,
        bodyColor: text,
        borderColor: line,
        borderWidth: 1,
        filter: ({ parsed }) => (parsed.y ?? 0) > 0,
        callbacks: {
          afterLabel: ({ dataIndex, datasetIndex }) => {
            const hour = rows[dataIndex]?.of.get(channels[datasetIndex] ?? "");
            return hour === undefined ? "" : t("overview.ofThem", { sent: hour.sent, failed: hour.failed });
          },
        },
      },
    },
  };
  const total = (channel: string) => rows.reduce((sum, { of }) => sum + (of.get(channel)?.deliveries ?? 0), 0);
  const counts = channels.map((channel) =>
    t("overview.inChannel", { channel: nameOf(channel), count: total(channel) }),
  );
  const said = t("overview.chart", { channels: counts.join(", ") });
  return <Bar data={data} options={options} role="img" aria-label={said} />;
}
