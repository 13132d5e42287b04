// The share of prompts against a machine that is a formula: a step takes what decoding takes, and so much a token.
#include "engine/prompt_share.h"

#include <random>

#include "gtest/gtest.h"
#include "tests/test_util.h"

namespace lastro::engine {
namespace {

class Machine {
 public:
  double decode_ms = 10, token_ms = 0.1, noise = 0;

  // Runs `steps` steps; the longest and the tokens of prompts.
  void Run(PromptShare* share, int steps) {
    longest_ms = 0;
    tokens = 0;
    for (int i = 0; i < steps; ++i) {
      const size_t of_prompts = share->tokens();
      double ms = decode_ms + token_ms * static_cast<double>(of_prompts);
      ms *= 1 + noise * std::uniform_real_distribution<>(-1, 1)(random_);
      share->Add(of_prompts, absl::Milliseconds(ms));
      longest_ms = std::max(longest_ms, ms);
      tokens += of_prompts;
    }
  }
  double longest_ms = 0;
  size_t tokens = 0;

 private:
  std::mt19937_64 random_ = testing::SeededRandom(77);
};

TEST(PromptShare, StepsTakeTwiceAsLongAsDecoding) {
  for (double token_ms : {0.05, 0.1, 0.3, 1.0}) {
    SCOPED_TRACE(token_ms);
    PromptShare share;
    Machine machine;
    machine.token_ms = token_ms;
    machine.Run(&share, 100);
    machine.Run(&share, 1000);
    EXPECT_LE(machine.longest_ms, 21);
    EXPECT_GE(machine.tokens, 1000 * 0.9 * 10 / token_ms - 1000);
  }
}

TEST(PromptShare, PromptsGoOnHoweverDearTheyAre) {
  PromptShare share;
  Machine machine;
  machine.token_ms = 100;
  machine.Run(&share, 330);
  EXPECT_GE(machine.tokens, 300 * PromptShare::kLeast);
}

TEST(PromptShare, NoMoreThanTheMostHoweverCheapTheyAre) {
  PromptShare share;
  Machine machine;
  machine.token_ms = 0;
  machine.Run(&share, 330);
  EXPECT_LE(machine.tokens, 330 * PromptShare::kMost);
  EXPECT_GE(machine.tokens, 250 * PromptShare::kMost);
}

// Longer texts make tokens dearer, more sessions decoding.
TEST(PromptShare, FollowsWhatChanges) {
  PromptShare share;
  Machine machine;
  machine.noise = 0.1;
  machine.Run(&share, 200);
  machine.token_ms = 1;
  machine.Run(&share, 40);
  machine.Run(&share, 500);
  EXPECT_LE(machine.longest_ms, 30);
  machine.decode_ms = 100;
  machine.Run(&share, 400);  // until it has been measured often enough
  machine.Run(&share, 400);
  EXPECT_GE(machine.tokens, 400 * 70);
  machine.decode_ms = 10;
  machine.Run(&share, 400);
  machine.Run(&share, 400);
  EXPECT_LE(machine.longest_ms, 30);
}

}  // namespace
}  // namespace lastro::engine
