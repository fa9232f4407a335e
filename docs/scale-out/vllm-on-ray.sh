#!/usr/bin/env bash
# One model over several machines: vLLM on a Ray cluster.
#
#   on the first machine:    HEAD_IP=10.0.0.1 ./vllm-on-ray.sh head
#   on every other machine:  HEAD_IP=10.0.0.1 NODE_IP=10.0.0.2 ./vllm-on-ray.sh worker
#   on the first, then:      NODES=2 GPUS_PER_NODE=8 VLLM_API_KEY=... ./vllm-on-ray.sh serve
#
# All machines need the same vllm and ray in the same Python, and the model under the same path or name. What goes
# between them is not encrypted, and whoever reaches Ray's ports may run code there: give them a network of their own.
set -euo pipefail

MODEL=${MODEL:-deepseek-ai/DeepSeek-R1-Distill-Llama-70B}
RAY_PORT=${RAY_PORT:-6379}

case "${1:-}" in
head)
    export VLLM_HOST_IP="$HEAD_IP"
    exec ray start --head --node-ip-address="$HEAD_IP" --port="$RAY_PORT" --block
    ;;
worker)
    export VLLM_HOST_IP="$NODE_IP"
    exec ray start --address="$HEAD_IP:$RAY_PORT" --node-ip-address="$NODE_IP" --block
    ;;
serve)
    # tensor parallel within a machine, pipeline parallel across them; the key comes from VLLM_API_KEY
    : "${VLLM_API_KEY:?set a key: whoever reaches the port may use the model}"
    exec vllm serve "$MODEL" \
        --tensor-parallel-size "${GPUS_PER_NODE:-8}" \
        --pipeline-parallel-size "${NODES:-1}" \
        --distributed-executor-backend ray \
        --reasoning-parser deepseek_r1 \
        --reasoning-config '{"reasoning_start_str": "<think>", "reasoning_end_str": "</think>"}' \
        --max-model-len "${MAX_MODEL_LEN:-32768}" \
        --host 0.0.0.0 --port 8000
    ;;
*)
    sed -n '2,9p' "$0"
    exit 2
    ;;
esac
