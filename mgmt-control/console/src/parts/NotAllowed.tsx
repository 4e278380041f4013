import { useSession } from '../session/useSession';
import { words } from '../words/en';
import { Empty } from './Empty';

/** The role does not allow what stands at this address. */
export function NotAllowed() {
  const { role } = useSession();
  return <Empty title={words.common.notAllowed} text={words.common.notAllowedText(role)} />;
}
