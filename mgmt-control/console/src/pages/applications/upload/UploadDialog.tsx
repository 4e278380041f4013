import { Button, Modal, Progress } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useRef, useState, type DragEvent } from 'react';

import { keys } from '../../../api/keys';
import { Icon } from '../../../parts/Icon';
import { ProblemView } from '../../../parts/ProblemView';
import { words } from '../../../words/en';
import { bytes } from '../../../words/format';
import { chosenFolder, droppedFiles, packageOf } from './dropped';
import { sendPackage, type Progress as Sent } from './send';
import css from './Upload.module.css';

type Files = Awaited<ReturnType<typeof droppedFiles>>;

export function UploadDialog({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={words.applications.uploadTitle}
      closeButtonProps={{ 'aria-label': words.common.close }}
    >
      <Upload onClose={onClose} />
    </Modal>
  );
}

function Upload({ onClose }: { onClose: () => void }) {
  const [sent, setSent] = useState<Sent>();
  const [over, setOver] = useState(false);
  const stop = useRef<AbortController>(undefined);
  const client = useQueryClient();
  const upload = useMutation({
    mutationFn: async (files: Files | Promise<Files>) => {
      setSent(undefined);
      stop.current = new AbortController();
      return sendPackage(await packageOf(await files), setSent, stop.current.signal);
    },
    onSuccess: () => client.invalidateQueries({ queryKey: keys.applications() }),
  });
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    // The entries have to be taken now: after this event they are gone.
    upload.mutate(droppedFiles(event.dataTransfer));
  };
  const close = () => {
    stop.current?.abort();
    onClose();
  };
  const done = upload.data;
  const label = done && `${done.application.name} ${done.application.version}`;
  return (
    <div className={css.upload}>
      {/* Who has no mouse takes the buttons in it. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <div
        role="group"
        aria-label={words.applications.drop}
        className={css.drop}
        data-over={over || undefined}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={drop}
      >
        <Icon name="upload" size={24} />
        <p>{words.applications.drop}</p>
        <div className={css.buttons}>
          <FilePick
            label={words.applications.chooseFolder}
            folder
            onFiles={(files) => upload.mutate(chosenFolder(files))}
          />
          <FilePick
            label={words.applications.chooseFile}
            onFiles={(files) => upload.mutate(chosenFolder(files))}
          />
        </div>
      </div>
      {upload.isPending && <Going sent={sent} />}
      {upload.isError && <ProblemView problem={upload.error} />}
      {done && (
        <p role="status">
          {(done.created ? words.applications.uploaded : words.applications.same)(label ?? '')}{' '}
          <Link to="/applications/$name" params={{ name: done.application.name }} onClick={onClose}>
            {words.applications.show}
          </Link>
        </p>
      )}
      <div className={css.end}>
        <Button variant="default" onClick={close}>
          {done ? words.common.done : words.common.cancel}
        </Button>
      </div>
    </div>
  );
}

function Going({ sent }: { sent: Sent | undefined }) {
  const word =
    sent === undefined
      ? words.applications.packing
      : sent.sent >= sent.total
        ? words.applications.judging
        : words.applications.sending(bytes(sent.sent), bytes(sent.total));
  return (
    <div role="status">
      <p>{word}</p>
      <Progress
        aria-label={words.applications.upload}
        value={sent ? (100 * sent.sent) / Math.max(1, sent.total) : 0}
      />
    </div>
  );
}

function FilePick({
  label,
  folder = false,
  onFiles,
}: {
  label: string;
  folder?: boolean;
  onFiles: (files: File[]) => void;
}) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <Button variant="default" onClick={() => input.current?.click()}>
        {label}
      </Button>
      <input
        ref={input}
        type="file"
        className="hidden-visually"
        tabIndex={-1}
        aria-hidden="true"
        {...(folder && { webkitdirectory: '' })}
        onChange={(event) => {
          const files = [...(event.currentTarget.files ?? [])];
          event.currentTarget.value = '';
          if (files.length > 0) onFiles(files);
        }}
      />
    </>
  );
}
