// What a person reads of runs.

import { count, moment, plural } from './quantities.js';

// Of progress, which is at 100 % when it is through.
const percent = (share) => `${Math.floor(100 * share)} %`;
// Of what was measured.
const share = (value) => `${Number((100 * value).toFixed(1))} %`;

const duration = (seconds) => {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
};

// Three significant digits; whole where it is large.
const number = (value) => (Math.abs(value) >= 1000 ? count(value) : String(Number(value.toPrecision(3))));

const STAGES = {
  base: 'Base', generate: 'Traces', verify: 'Verdicts', filter: 'Choice', sft: 'Training', export: 'GGUFs', evaluate: 'Measurement', report: 'Report',
};
const DOING = {
  base: 'bringing the base', generate: 'collecting traces', verify: 'judging answers', filter: 'choosing traces', sft: 'training',
  export: 'writing GGUFs', evaluate: 'solving held-out problems', report: 'writing the report',
};
const METRICS = {
  loss: 'loss', learning_rate: 'learning rate', grad_norm: 'gradient norm', tokens_per_second: 'tokens per second', traces: 'traces', tokens: 'tokens',
  right: 'right', wrong: 'wrong', unknown: 'not known', share: 'progress',
  accuracy: 'accuracy in practice', held_out_accuracy: 'held-out accuracy', length: 'length in practice', held_out_length: 'held-out length',
  check_share: 'answers that check', backtrack_share: 'answers that turn back', clipped_share: 'cut off', equal_share: 'groups that earn alike',
  kl: 'KL from the reference', reward: 'reward', rollout_seconds: 'seconds of rollouts', update_seconds: 'seconds of update', minutes: 'minutes of training',
};
const KINDS = { stream: 'training on generated text', sft: 'fine-tuning on traces', grpo: 'reinforcement learning' };
const isShare = (metric) => metric.endsWith('accuracy') || metric.endsWith('_share');
const STATES = { running: 'Running', done: 'Done', stopped: 'Stopped', failed: 'Failed' };

export const words = {
  title: 'Runs',
  intro: 'Students that r1chat distill makes here: from the command line or begun on this page. A run goes on without the page.',
  none: 'There is no run yet. A run takes traces, trains a small model on them, and measures it beside its teacher.',
  begin: 'Start a run',
  states: STATES,
  number,
  percent,
  share,
  duration,
  left: (seconds) => `about ${duration(seconds)} left`,
  choose: 'Choose a run to see how far it is.',
  back: 'Back to the list',
  recipe: (name) => (name ? `recipe ${name}` : ''),
  kinds: KINDS,
  stage: (name) => STAGES[name] ?? name,
  value: (metric, value) => (isShare(metric) ? share(value) : number(value)),
  of: ({ student, recipe }) => (student ? `${recipe ? 'student' : 'continues'} ${student}` : ''),
  now: (run) => {
    const stage = run.stages.find(({ name }) => name === run.stage);
    if (!stage) return run.state === 'running' ? 'beginning' : '';
    const left = stage.left_s === null ? '' : `, about ${duration(stage.left_s)} left`;
    return `${stage.kind ? stage.name : DOING[stage.name] ?? stage.name}${stage.share === null ? '' : ` ${percent(stage.share)}`}${left}`;
  },
  stageState: { waiting: 'waiting', running: 'running', done: 'done' },
  stageBar: (name, kind) => `Progress of ${kind ? name : STAGES[name] ?? name}`,
  runBar: (name) => `Progress of ${name}`,
  when: moment,
  begun: (run) => `begun ${moment(run.created)}`,

  learning: 'What it learns',
  learningLabel: 'Step of the recipe',
  charts: { accuracy: 'Accuracy', length: 'Length in tokens', behaviour: 'Answers that check or turn back' },
  lines: {
    accuracy: 'in practice', held_out_accuracy: 'held out', length: 'in practice', held_out_length: 'held out', check_share: 'check', backtrack_share: 'turn back',
  },
  fromTo: (label, from, to) => `${label} from ${from} to ${to}`,
  readouts: (step, said) => `step ${count(step)}: ${said.join(', ')}`,

  numbers: 'Numbers over steps',
  metricLabel: 'Number',
  metric: (stage, metric) => `${STAGES[stage] ?? stage}: ${METRICS[metric] ?? metric.replaceAll('_', ' ')}`,
  metricName: (metric) => METRICS[metric] ?? metric.replaceAll('_', ' '),
  noNumbers: 'This run has not told any number yet.',
  chartOf: (name, points) => {
    const values = points.map(([, value]) => value);
    return `${name} over ${count(points.at(-1)[0])} steps: from ${number(values[0])} to ${number(values.at(-1))}, `
      + `lowest ${number(Math.min(...values))}, highest ${number(Math.max(...values))}`;
  },
  readout: (step, value) => `step ${count(step)}: ${number(value)}`,

  rollouts: 'Rollouts',
  rolloutsLabel: 'Which rollouts',
  rowsOf: ({ step, of }) => {
    const what = { traces: 'Traces of the teacher', answers: 'Answers of the models', watched: 'Answers while it learnt' }[of] ?? of;
    return step ? `${step}: ${what.toLowerCase()}` : what;
  },
  atStep: (step) => `Step ${count(step)}`,
  later: 'Later',
  stepLabel: 'Step shown',
  onlyNotRight: 'Only problems with an answer that is not right',
  noRollouts: 'There are none yet.',
  place: (start, end, total) => `${count(start)} to ${count(end)} of ${count(total)}`,
  previous: 'Previous',
  next: 'Next',
  gold: (gold) => `Known answer: ${gold}`,
  verdict: { right: 'right', wrong: 'wrong', unknown: 'not known' },
  by: (name) => ({ teacher: 'Teacher', base: 'Base', student: 'Student' }[name.split('/')[0]] ?? name.split('/')[0]) + (name.includes('/') ? ` ${name.split('/')[1]}` : ''),
  score: (right, n) => `${right} of ${n} right`,
  tokens: (n) => `${count(n)} tokens`,
  cut: 'cut off',
  noThought: 'no thought',
  thought: 'Thought',
  answer: 'Answer',
  sample: (number_) => `Sample ${number_}`,
  sampleLabel: 'Sample shown',

  chat: 'Chat with it',
  report: 'Open the report',
  log: 'What it said',
  stop: 'Stop',
  stopping: 'Stopping …',
  stopTitle: (name) => `Stop ${name}?`,
  stopText: 'What is done is kept, and the run can go on from there.',
  goOn: 'Go on',
  cancel: 'Cancel',

  beginTitle: 'Start a run',
  way: 'Way',
  recipes: {
    '': 'One training on traces',
    'r1-zero': 'r1-zero: reinforcement learning alone',
    r1: 'r1: cold start, RL, rejection sampling, RL over all domains',
    'distill-vs-rl': 'distill-vs-rl: traces against the student’s own tries',
  },
  student: 'Student',
  students: {
    '': 'The recipe’s own',
    small: 'small: 2.6 million weights, made here', demo: 'demo: 6.6 million weights, made here',
    tiny: 'tiny: 1 million weights, made here, no download',
    'qwen-0.5b': 'Qwen2.5 0.5B, Apache-2.0', 'qwen-1.5b': 'Qwen2.5-Math 1.5B, Apache-2.0', 'qwen-7b': 'Qwen2.5-Math 7B, Apache-2.0',
    'llama-1b': 'Llama 3.2 1B, Llama licence', 'llama-8b': 'Llama 3.1 8B, Llama licence',
  },
  name: 'Name',
  nameHint: 'What the student is called in the list of models, and its folder.',
  traces: 'Traces',
  tracesOf: (kind, n) => (kind === 'stars' ? `Your distil set (${plural(n, 'turn', 'turns')})` : 'Problems made here'),
  fewStars: (n) => (n < 100 ? `${plural(n, 'turn is', 'turns are')} few: expect the student to copy their manner, and to learn no new skill.` : ''),
  showPlan: 'Show the plan',
  planning: 'Making the plan …',
  plan: 'The plan',
  beginNow: 'Begin',
  beginning: 'Beginning …',
  change: 'Change it',
};
