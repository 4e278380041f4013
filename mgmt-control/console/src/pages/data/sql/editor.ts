// The editor lives in a shadow root: there it takes its styles as objects, where in the document it
// would put a style element, which the page's policy does not allow.
import { acceptCompletion, autocompletion, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { PostgreSQL, sql, type SQLNamespace } from '@codemirror/lang-sql';
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { Compartment, EditorState, Prec, type Extension } from '@codemirror/state';
import { EditorView, keymap, lineNumbers, placeholder } from '@codemirror/view';
import { tags } from '@lezer/highlight';

/** Colours come from the page: its variables reach into the shadow. */
const highlight = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--series-1)', fontWeight: '600' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--ok)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--series-3)' },
  { tag: [tags.comment, tags.lineComment, tags.blockComment], color: 'var(--ink-soft)', fontStyle: 'italic' },
  { tag: tags.typeName, color: 'var(--series-2)' },
]);

const look = EditorView.theme({
  '&': { fontSize: '13px', color: 'var(--ink)', backgroundColor: 'var(--surface)' },
  '.cm-content': { fontFamily: 'var(--mono-font)', minHeight: '7.5em', caretColor: 'var(--ink)' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '.cm-gutters': {
    backgroundColor: 'var(--surface-raised)',
    color: 'var(--ink-soft)',
    borderRight: '1px solid var(--line)',
  },
  '.cm-placeholder': { color: 'var(--ink-soft)' },
  '&.cm-focused': { outline: '2px solid var(--accent)' },
  '.cm-scroller': { maxHeight: '40vh', overflow: 'auto' },
  '&.cm-focused .cm-selectionBackground, .cm-selectionBackground, ::selection': {
    backgroundColor: 'var(--accent-soft) !important',
  },
  '.cm-tooltip': {
    backgroundColor: 'var(--surface)',
    border: '1px solid var(--line-strong)',
    color: 'var(--ink)',
  },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent)', color: '#fff' },
});

interface Options {
  text: string;
  label: string;
  hint: string;
  onChange: (text: string) => void;
  onRun: () => void;
}

export interface Editor {
  /** Tells which tables and columns there are, for completion. */
  schema: (tables: SQLNamespace) => void;
  focus: () => void;
  destroy: () => void;
}

const language = (schema: SQLNamespace): Extension =>
  sql({ dialect: PostgreSQL, schema, upperCaseKeywords: true });

/** Puts an SQL editor into an element. */
export function openEditor(place: HTMLElement, { text, label, hint, onChange, onRun }: Options): Editor {
  const root = place.shadowRoot ?? place.attachShadow({ mode: 'open' });
  const words = new Compartment();
  const run = () => {
    onRun();
    return true;
  };
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: text,
      extensions: [
        Prec.highest(
          keymap.of([
            { key: 'Mod-Enter', run },
            { key: 'Tab', run: acceptCompletion },
          ]),
        ),
        keymap.of([...completionKeymap, ...historyKeymap, ...defaultKeymap]),
        lineNumbers(),
        history(),
        autocompletion({ icons: false }),
        placeholder(hint),
        words.of(language({})),
        syntaxHighlighting(highlight),
        look,
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ 'aria-label': label, 'aria-multiline': 'true' }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) onChange(update.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    schema: (tables) => view.dispatch({ effects: words.reconfigure(language(tables)) }),
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}
