/* libFuzzer target: parse, quantise and paint, as Batch.take and Batch.paint do, without an interpreter.
 *
 * The first byte of an input chooses the options, the rest is the file. Besides what the sanitizers see, the
 * promises that the Python side relies on are checked: a broken one traps.
 */
#include "_roll.c"

typedef struct __pyx_t_8rollcore_4_smf_Song Song;

void fuzz_song_init(Song *song);
void fuzz_song_free(Song *song);
int fuzz_song_parse(Song *song, uint8_t const *data, Py_ssize_t size);

#define PROMISE(condition) do { if (!(condition)) __builtin_trap(); } while (0)

enum { MAX_SECONDS = 8, MAX_BEATS = 64, FPS = 50, STEPS = 4, ROW = 16, ORACLE_CELLS = 20000 };

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  /* What importing the modules would set. */
  __pyx_f_8rollcore_4_smf_song_init = fuzz_song_init;
  __pyx_f_8rollcore_4_smf_song_free = fuzz_song_free;
  __pyx_f_8rollcore_4_smf_song_parse = fuzz_song_parse;
  __pyx_v_8rollcore_5_roll_SATURATED = (int64_t)1 << 62;
  __pyx_v_8rollcore_5_roll_FARTHEST_PHASE = (int64_t)1 << 46;
  __pyx_v_8rollcore_5_roll_FARTHEST_KEY = (int64_t)1 << 46;
  __pyx_v_8rollcore_5_roll_EXACT = 1125899906842624.0;
  return 0;
}

static void check_song(const Song *song, Py_ssize_t size) {
  Py_ssize_t i;
  PROMISE(song->format >= 0 && song->format <= 2);
  PROMISE((song->ticks_per_beat > 0) == (song->smpte_fps == 0));
  PROMISE(song->smpte_fps == 0 || (song->smpte_fps >= 24 && song->smpte_fps <= 30 && song->smpte_ticks_per_frame > 0));
  PROMISE(song->n_notes + song->n_tempos + song->n_pedals + song->n_signatures + song->n_controls <= 2 * size);
  PROMISE(song->first_repair_offset >= 0 && song->first_repair_offset <= size);
  for (i = 0; i < song->n_notes; i++) {
    PROMISE(song->notes[i].onset_tick >= 0 && song->notes[i].offset_tick >= song->notes[i].onset_tick);
    PROMISE(song->notes[i].pitch < 128 && song->notes[i].channel < 16 * song->n_ports);
    PROMISE(song->notes[i].velocity > 0 && song->notes[i].velocity < 128);
    if (i && song->notes[i].track == song->notes[i - 1].track)
      PROMISE(song->notes[i].onset_tick >= song->notes[i - 1].onset_tick);
    else if (i)
      PROMISE(song->notes[i].track > song->notes[i - 1].track);
  }
  for (i = 0; i < song->n_tempos; i++) {
    PROMISE(song->tempos[i].microseconds_per_beat > 0);
    PROMISE(i == 0 || song->tempos[i].tick >= song->tempos[i - 1].tick);
  }
  for (i = 1; i < song->n_pedals; i++) PROMISE(song->pedals[i].tick >= song->pedals[i - 1].tick);
  for (i = 0; i < song->n_signatures; i++) {
    int value = song->signatures[i].value;
    PROMISE(song->signatures[i].beats > 0 && value > 0 && value <= 256 && (value & (value - 1)) == 0);
    PROMISE(i == 0 || song->signatures[i].tick >= song->signatures[i - 1].tick);
  }
  for (i = 1; i < song->n_controls; i++) PROMISE(song->controls[i].tick >= song->controls[i - 1].tick);
  for (i = 1; i < song->n_setups; i++) PROMISE(song->setups[i].tick >= song->setups[i - 1].tick);
  for (i = 1; i < song->n_parts; i++) PROMISE(song->parts[i].tick >= song->parts[i - 1].tick);
  for (i = 0; i < song->n_names; i++) PROMISE(song->names[i].start + song->names[i].length <= size);
  PROMISE(song->silences == NULL && song->n_ports >= 1 && song->n_ports <= 16);
  for (i = 0; i < 2048 * song->ports_capacity; i++)
    PROMISE(song->queues[i].first == -1);
  for (i = 0; i < song->cuts_capacity; i++) PROMISE(song->cuts[i].first == -1 && song->cuts[i].closed == -1);
}

/* Frame by frame, the obvious way. */
static void paint_slowly(const struct __pyx_t_8rollcore_5_roll_Span *spans, Py_ssize_t n, int onsets, int n_voices,
                         uint8_t *rows) {
  Py_ssize_t i, planes = onsets ? 2 * ROW : ROW, stride = planes * n_voices;
  int32_t frame;
  for (i = 0; i < n; i++) {
    int pitch = spans[i].lane % 128;
    uint8_t *voice = rows + spans[i].lane / 128 * planes;
    for (frame = spans[i].start; frame < spans[i].end; frame++) voice[frame * stride + pitch / 8] |= 1 << pitch % 8;
    if (onsets) voice[spans[i].start * stride + ROW + pitch / 8] |= 1 << pitch % 8;
  }
}

static void check_rows(struct __pyx_t_8rollcore_5_roll_Span *spans, Py_ssize_t n, int64_t frames, int onsets,
                       int n_voices) {
  Py_ssize_t i, stride = n_voices * (onsets ? 2 * ROW : ROW);
  uint8_t *rows = malloc((frames + 1) * stride); /* to the byte, so that one row too many is seen */
  uint8_t *expected = calloc(frames, stride);
  struct __pyx_t_8rollcore_5_roll_Span *scratch = malloc(n * sizeof(*scratch));
  int sounding = 0;
  if (n * frames <= ORACLE_CELLS) paint_slowly(spans, n, onsets, n_voices, expected);
  __pyx_f_8rollcore_5_roll_paint_piece(spans, scratch, n, frames, onsets, n_voices, rows);
  if (n * frames <= ORACLE_CELLS) PROMISE(memcmp(rows, expected, frames * stride) == 0);
  for (i = 0; i < stride; i++) sounding |= rows[(frames - 1) * stride + i];
  PROMISE(sounding); /* the piece ends with its last note */
  free(rows);
  free(expected);
  free(scratch);
}

/* What a piece is known by: counts that add up, then keys in order, each once. */
static void check_keys(const Song *song) {
  int64_t *keys = NULL;
  Py_ssize_t n_keys = 0, capacity = 0, i;
  Py_ssize_t melodic = 0, counted = 0;
  for (i = 0; i < song->n_notes; i++) melodic += !song->notes[i].drums;
  PROMISE(__pyx_f_8rollcore_5_roll_music_keys(song, &keys, &n_keys, &capacity));
  PROMISE(melodic ? n_keys > 64 && n_keys <= 64 + melodic : n_keys == 0);
  if (melodic) {
    for (i = 0; i < 128; i++) counted += ((uint32_t *)keys)[i];
    PROMISE(counted == melodic);
    PROMISE(keys[64] >> 7 == 0); /* onsets are counted from the first */
    for (i = 65; i < n_keys; i++) PROMISE(keys[i] > keys[i - 1]);
  }
  free(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct __pyx_t_8rollcore_5_roll_Spec spec = {0};
  struct __pyx_t_8rollcore_5_roll_Clock time = {0}, beats = {0};
  struct __pyx_t_8rollcore_5_roll_Record record = {0};
  struct __pyx_t_8rollcore_5_roll_Span *spans = NULL;
  Py_ssize_t n_spans = 0, capacity = 0, n_notes, n_left = 0, i;
  int8_t *voices = NULL;
  Song song;
  int options;
  if (size == 0) return 0;
  options = data[0];
  data++;
  size--;
  spec.beats = options & 1;
  spec.onsets = options >> 1 & 1;
  spec.drums = options >> 2 & 1;
  spec.sustain = options >> 3 & 1;
  spec.align = options >> 6 & 1;
  spec.n_voices = options >> 7 ? 3 : 1;
  spec.onsets |= options >> 7;
  spec.numerator = spec.beats ? STEPS : FPS;
  spec.denominator = 1;
  spec.max_seconds = MAX_SECONDS;
  spec.max_beats = MAX_BEATS;
  switch (options >> 4 & 3) {
  case 1: /* a rate that is no whole number */
    spec.numerator = 30000;
    spec.denominator = 1001;
    break;
  case 2: /* about one frame a second over hours: products beyond 63 bits */
    spec.numerator = 999983;
    spec.denominator = 999979;
    spec.max_seconds = spec.max_beats = 20000;
    break;
  case 3: /* as good as no limit: what saturates must stay saturated */
    spec.numerator = 1;
    spec.denominator = 1000000;
    spec.max_seconds = (int64_t)1 << 27;
    spec.max_beats = spec.max_seconds * 1000 / 60;
    break;
  }

  fuzz_song_init(&song);
  if (fuzz_song_parse(&song, data, (Py_ssize_t)size) == 0) {
    check_song(&song, (Py_ssize_t)size);
    check_keys(&song);
    n_notes = song.n_notes;
    if (spec.n_voices > 1) { /* four notes in five have a voice, the others a reason */
      voices = malloc(n_notes + 1);
      for (i = 0; i < n_notes; i++) voices[i] = i % 5 == 4 ? -1 - i % 7 : i % 3;
    }
    if (__pyx_f_8rollcore_5_roll_quantise(&song, &spec, &time, &beats, &spans, &n_spans, &capacity, voices,
                                          &record) == 0) {
      for (i = 0; i < 8; i++) n_left += record.left_out[i];
      PROMISE(n_spans + n_left == n_notes);
      PROMISE(n_spans == record.notes && n_spans > 0 && record.frames > 0);
      PROMISE(0 <= record.upbeat && (spec.beats || record.upbeat == 0));
      PROMISE(0 <= record.moved && record.moved <= record.notes && (spec.beats || record.moved == 0));
      PROMISE(record.shift == 0 || (spec.beats && spec.align && n_notes >= 64));
      PROMISE(8 * llabs(record.shift) <= 13 * (int64_t)song.ticks_per_beat);
      for (i = 0; i < n_spans; i++)
        PROMISE(0 <= spans[i].start && spans[i].start < spans[i].end && spans[i].end <= record.frames);
      for (i = 0; i < n_spans; i++) PROMISE(0 <= spans[i].lane && spans[i].lane < 128 * spec.n_voices);
      check_rows(spans, n_spans, record.frames, spec.onsets, spec.n_voices);
    }
  }
  fuzz_song_free(&song);
  free(time.segments);
  free(beats.segments);
  free(spans);
  free(voices);
  return 0;
}
