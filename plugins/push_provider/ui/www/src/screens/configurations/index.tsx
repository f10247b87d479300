// Sender configurations: the list, and the form of one.

import "./words";
import { Navigate, Route, Routes } from "react-router-dom";
import { useRights } from "../../api/queries";
import { Waiting } from "../../components/notices";
import { screen } from "../../app/places";
import { ConfigList } from "./ConfigList";
import { EditConfig, NewConfig } from "./ConfigForm";

export default function Configurations() {
  const rights = useRights();
  if (!rights.known) return <Waiting />;
  const edits = rights.may("edit configurations");
  return (
    <Routes>
      <Route index element={<ConfigList />} />
      {edits && <Route path="new/:type" element={<NewConfig />} />}
      {edits && <Route path=":id/edit" element={<EditConfig />} />}
      <Route path="*" element={<Navigate to={screen("configurations")} replace />} />
    </Routes>
  );
}
