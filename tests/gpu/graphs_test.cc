// Steps that are recorded and replayed: the same results as steps that are not, with other tokens, positions and blocks
// each time.
#include "engine/cuda/cuda_graphs.h"
#include "tests/gpu/backend_test_util.h"

namespace lastro::engine {
namespace {

using Mode = CudaGraphs::Mode;

TEST(CudaGraphsTest, RunsThenRecordsThenReplaysUntilMemoryMoves) {
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  {
    CudaGraphs graphs(stream);
    auto step = [&](const CudaGraphs::Key& key, uint64_t epoch) {
      const Mode mode = graphs.Begin(key, epoch);
      EXPECT_EQ(graphs.End(epoch), cudaSuccess);
      EXPECT_EQ(graphs.mode(), Mode::kEnqueue);
      return mode;
    };
    const CudaGraphs::Key one = {7, 1, 512}, two = {7, 2, 512};
    EXPECT_EQ(step(one, 1), Mode::kEnqueue);
    EXPECT_EQ(step(one, 1), Mode::kRecord);
    EXPECT_EQ(step(two, 1), Mode::kEnqueue);
    EXPECT_EQ(step(one, 1), Mode::kReplay);
    EXPECT_EQ(step(one, 1), Mode::kReplay);
    EXPECT_EQ(step(two, 1), Mode::kRecord);
    // Another thread releases memory, as when it drops a model, while a step is replayed.
    EXPECT_EQ(graphs.Begin(one, 1), Mode::kReplay);
    EXPECT_EQ(graphs.End(2), cudaSuccess);
    EXPECT_EQ(step(one, 2), Mode::kEnqueue);
    EXPECT_EQ(graphs.Begin(one, 2), Mode::kRecord);
    graphs.Abandon();
    EXPECT_EQ(step(one, 2), Mode::kRecord);
    // Memory that moves while a step is recorded: it runs, and is not kept.
    EXPECT_EQ(step(two, 2), Mode::kEnqueue);
    EXPECT_EQ(graphs.Begin(two, 2), Mode::kRecord);
    EXPECT_EQ(graphs.End(3), cudaSuccess);
    EXPECT_EQ(step(two, 2), Mode::kRecord);
  }
  EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
}

class CudaReplay : public CudaTest {
 protected:
  static constexpr int64_t kWidth = 64, kHeads = 2;

  void SetUp() override {
    table_values_ = Random(50 * 3 * kWidth);
    for (Side* side : {&cuda_, &reference_}) {
      tables_.push_back(*(*side)->LoadTable(
          {DataType::kF32, reinterpret_cast<const uint8_t*>(table_values_.data()), 50, 3 * kWidth}));
      const DataType stored = side == &cuda_ ? type() : DataType::kF32;
      qkv_.push_back(side->Empty(3, 3 * kWidth, stored));
      out_.push_back(side->Empty(3, kWidth, stored));
      stores_.push_back(*(*side)->AllocateKv({1, kHeads, kWidth / kHeads, (*side)->kv_block_tokens(), 200}));
    }
  }

  // A token of each text: looked up, stored, attended with.
  absl::StatusOr<std::vector<float>> Step(int which, const std::vector<int32_t>& ids, int64_t position,
                                          uint64_t repeats) {
    Side& side = which == 0 ? cuda_ : reference_;
    const int64_t rows = static_cast<int64_t>(ids.size());
    std::vector<SequenceSpan> texts;
    std::vector<std::vector<int32_t>> blocks(ids.size());
    for (int64_t row = 0; row < rows; ++row) {
      for (int32_t block = 0; block <= position / 16; ++block)
        blocks[row].push_back(static_cast<int32_t>(row * 60 + block));
      texts.push_back({row, 1, position, blocks[row]});
    }
    const MatrixView qkv = qkv_[which].Rows(0, rows), out = out_[which].Rows(0, rows);
    side->BeginStep(texts, repeats);
    side->Embed(*tables_[which], ids, false, qkv);
    side->StoreKv(texts, qkv.Columns(kWidth, kWidth), qkv.Columns(2 * kWidth, kWidth), 0, *stores_[which]);
    AttentionOptions options;
    options.scale = 0.2f;
    side->Attention(options, texts, qkv.Columns(0, kWidth), 0, *stores_[which], out);
    std::vector<uint8_t> bytes(static_cast<size_t>(rows * out.stride * out.element_bytes()));
    side->CopyToHost(out.data, static_cast<int64_t>(bytes.size()), bytes.data());
    if (absl::Status status = side->Synchronize(); !status.ok()) return status;
    std::vector<float> values;
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t col = 0; col < kWidth; ++col) {
        const int64_t at = row * out.stride + col;
        values.push_back(ElementAt(bytes.data(), out.type, at));
      }
    }
    return values;
  }

  std::vector<float> table_values_;
  std::vector<std::unique_ptr<TableWeight>> tables_;
  std::vector<MatrixView> qkv_, out_;
  std::vector<std::unique_ptr<KvStore>> stores_;
};

TEST_P(CudaReplay, GrowingTextsGetTheResultsOfTheReference) {
  for (int64_t position = 0; position < 600; ++position) {
    // Batches of two sizes in turn, as when a text comes and goes.
    std::vector<int32_t> ids(1 + static_cast<size_t>(position / 100 % 2));
    for (int32_t& id : ids) id = static_cast<int32_t>(random_() % 50);
    ASSERT_OK_AND_ASSIGN(std::vector<float> got, Step(0, ids, position, 11));
    ASSERT_OK_AND_ASSIGN(std::vector<float> want, Step(1, ids, position, 0));
    // The second text begins late: what it did not store is no number on either side.
    got.resize(kWidth);
    want.resize(kWidth);
    ExpectNear(got, want, Allowed(0.02, 1e-5), Allowed(0.02, 1e-5));
    if (position == 300) {
      ASSERT_OK_AND_ASSIGN(auto released, cuda_->Allocate(1));  // recordings are dropped
    }
  }
  // All but the first two of each batch size and length, and those where memory moved.
  EXPECT_GT(static_cast<CudaBackend&>(*cuda_).replayed_steps(), 550);
}

#ifdef LASTRO_CUDA_EMULATOR
// Whatever call fails, recording or replaying: the step says so, and steps after it are right.
TEST_P(CudaReplay, AFailureInTheMiddleLeavesLaterStepsSound) {
  for (int64_t calls = 0; calls < 40; ++calls) {
    for (int64_t before = 0; before < 3; ++before) {  // the step that fails runs, is recorded, is replayed
      const uint64_t repeats = static_cast<uint64_t>(1 + calls * 3 + before);
      for (int64_t i = 0; i < before; ++i) ASSERT_THAT(Step(0, {1}, 0, repeats), testing::IsOk());
      CudaEmulatorFailAfter(calls);
      const auto failed = Step(0, {2}, 0, repeats);
      CudaEmulatorFailAfter(-1);
      const auto want = Step(1, {3}, 0, 0);
      for (int i = 0; i < 3; ++i) {
        const auto got = Step(0, {3}, 0, repeats);
        ASSERT_THAT(got, testing::IsOk()) << "after " << failed.status();
        ExpectNear(*got, *want, Allowed(0.02, 1e-5), Allowed(0.02, 1e-5));
      }
    }
  }
}
#endif

LASTRO_INSTANTIATE_CUDA_TESTS(CudaReplay);

}  // namespace
}  // namespace lastro::engine
