import { Link } from "@tanstack/react-router";
import { SearchIcon } from "../shared/icons";
import { Empty } from "../shared/parts";

export function NotFound() {
  return (
    <Empty icon={<SearchIcon size={22} />} title="There is no such page">
      It may have been renamed. <Link to="/" className="link">Back to the overview</Link>
    </Empty>
  );
}
