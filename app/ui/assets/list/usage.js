// What a conversation takes of the model's context, counted from what its replies told.

// Tokens of the thoughts on the shown path: what keeping them sends along with the next question.
export const thoughtTokens = (path) => path.reduce((sum, { role, reasoning_tokens: n }) => sum + (role === 'assistant' ? n : 0), 0);

// {used, size} in tokens of the newest counted reply and of the model's context; 0 where not known.
export const contextOf = (path, { models, default_model: own }, model) => {
  const last = path.findLast(({ usage }) => usage?.prompt_tokens);
  const used = last ? last.usage.prompt_tokens + (last.usage.completion_tokens ?? 0) : 0;
  const name = model || own;
  const card = models.find(({ id, aliases = [] }) => id === name || aliases.includes(name));
  return { used, size: card?.meta?.n_ctx ?? card?.context_length ?? 0 };
};
