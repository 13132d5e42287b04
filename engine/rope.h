// Rotary positions (Su et al. 2021): the frequencies of RopeParams with their scaling applied. Pure functions.
//
// Sources of the scalings, all in the form of transformers/modeling_rope_utils.py: linear (Chen et al. 2023); dynamic
// NTK (theta grows with the sequence); Llama 3.1's bands; YaRN (Peng et al. 2023); LongRoPE (Ding et al. 2024).
#pragma once

#include <cstdint>
#include <vector>

#include "engine/architecture.h"

namespace lastro::engine {

// True for scalings whose frequencies depend on how long the sequence gets (kDynamic, kLongRope). They are chosen once
// a sequence, by the tokens it may grow to, so that a prompt gives the same numbers in one piece and token by token.
bool DependsOnLength(const RopeParams& rope);

// [rotary_dim / 2], radians a token, for a sequence of up to `tokens` tokens.
std::vector<float> RotaryFrequencies(const RopeParams& rope, int64_t tokens);

}  // namespace lastro::engine
