// All that an architecture's folder includes, but for model/gguf_config.h where it reads GGUF files.
#pragma once

#include "base/check.h"
#include "base/result.h"
#include "graph/graph.h"
#include "graph/ops.h"
#include "model/architecture.h"
#include "nn/attention.h"
#include "nn/experts.h"
#include "nn/latent_attention.h"
#include "nn/layers.h"
#include "nn/rope.h"
#include "nn/scope.h"
