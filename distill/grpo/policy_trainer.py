"""trl's GRPOTrainer on completions that are drawn elsewhere. Imported when a training begins, never before.

Here, an advantage is (reward - mean) / (deviation + 1e-4), where trl's deviation divides by n - 1: rewards 1, 1, 0, 1
give 0.5 and -1.5. The population's deviation of DeepSeekMath's text (arXiv:2402.03300) would give 0.58 and -1.73.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import TrainerState
from trl import GRPOTrainer
from trl.trainer.callbacks import SyncRefModelCallback

from ..rewards.functions import Reward
from ..rows import ProblemRow
from .ledger import Rollouts, worth
from .sampler import Completion, Draw

_REFERENCE = "reference.pt"


class PolicyTrainer(GRPOTrainer):
    """`draw` answers the problems, which `asked` has by the text they are rendered to. `taken` gets each step's
    completions with the seconds they took. A checkpoint is written aside and handed to `sealed`. `rate` is the share
    of the learning rate by the updates done.
    """

    def __init__(
        self,
        *,
        draw: Draw,
        asked: Mapping[str, ProblemRow],
        rewards: list[Reward],
        taken: Callable[[Rollouts, float], None],
        sealed: Callable[[int], None],
        rate: Callable[[int], float],
        updates: int,
        **options: Any,
    ) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "You are using 'rollout_func'")
            super().__init__(reward_funcs=list(rewards), rollout_func=self._roll_out, **options)
        self._draw, self._asked, self._rewards = draw, asked, rewards
        self._taken, self._sealed, self._rate, self._updates = taken, sealed, rate, updates
        self._drawn: list[Completion] = []

    @property
    def policy(self) -> Any:
        """The model that is trained, without wrappers."""
        return self.accelerator.unwrap_model(self.model)

    def reset_reference(self) -> None:
        """From here on, the KL divergence is from what the policy is now."""
        if self.ref_model is not None:
            SyncRefModelCallback.sync_target_model(self.policy, self.ref_model, 1.0)
            return
        weights = dict(self.policy.named_parameters())
        for name, weight in weights.items():
            if ".default." in name:
                weights[name.replace(".default.", ".ref.")].data.copy_(weight.data)

    def restore(self, checkpoint: Path) -> None:
        """Weights and steps as they were saved, where nothing is left to train."""
        self._load_from_checkpoint(str(checkpoint))
        self.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        self.lr_scheduler = LambdaLR(optimizer or self.optimizer, lambda update: self._rate(update))
        return self.lr_scheduler

    def floating_point_ops(self, inputs: Any) -> int:
        return 0

    def _roll_out(self, prompts: list[str], _: Any) -> dict[str, Any]:
        problems = [self._asked[prompt].prompt for prompt in prompts]
        self._drawn = self._draw(self.policy, problems, self.state.global_step // self._updates)
        logprobs = [completion.logprobs for completion in self._drawn]
        return {
            "prompt_ids": [completion.prompt_ids for completion in self._drawn],
            "completion_ids": [completion.ids for completion in self._drawn],
            "logprobs": None if None in logprobs else logprobs,
        }

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        began = time.monotonic()
        output = super()._generate_and_score_completions(inputs)
        if "sampling_per_token_logps" in output:  # drawn by weights that may be older than these
            output["old_per_token_logps"] = output["sampling_per_token_logps"]
        problems = [self._asked[row["prompt"]] for row in inputs]
        values = {reward.name: list(reward.last) for reward in self._rewards}
        seconds = time.monotonic() - began
        self._taken(
            Rollouts(problems, self._drawn, values, worth(values, self._rewards), self.num_generations), seconds
        )
        return output

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Any:
        """Of what was drawn, as it is judged everywhere else: trl leaves out special tokens that stand in it."""
        drawn = [completion.text for completion in self._drawn]
        return super()._calculate_rewards(inputs, prompts, drawn, completion_ids_list)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super(GRPOTrainer, self)._save_checkpoint(model, trial)  # without trl's model card
        if self.ref_model is not None:
            place = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}" / _REFERENCE
            torch.save(self.ref_model.state_dict(), place)
        self._sealed(self.state.global_step)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        place = Path(resume_from_checkpoint) / _REFERENCE
        if self.ref_model is not None and place.exists():
            self.ref_model.load_state_dict(torch.load(place, weights_only=True))
