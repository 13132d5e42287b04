// GPU memory under its budget, and what a step that fails says.
#include "base/status_macros.h"
#include "tests/gpu/backend_test_util.h"

namespace lastro::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::StatusIs;

constexpr int64_t kBudget = int64_t{64} << 20;

TEST(CudaBudgetTest, WhatDoesNotFitIsRefusedWithCountsAndComesBack) {
  auto backend = NewCuda(DataType::kBF16, kBudget);
  const int64_t free = static_cast<CudaBackend&>(*backend).free_bytes();
  EXPECT_LT(free, kBudget);
  EXPECT_THAT(backend->Allocate(free + 1),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr(std::to_string(kBudget)), HasSubstr("--gpu-memory"))));
  {
    ASSERT_OK_AND_ASSIGN(auto buffer, backend->Allocate(free));
    EXPECT_EQ(static_cast<CudaBackend&>(*backend).free_bytes(), 0);
    EXPECT_THAT(backend->Allocate(1), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("0 of")));
  }
  EXPECT_EQ(static_cast<CudaBackend&>(*backend).free_bytes(), free);
  EXPECT_EQ(backend->default_kv_bytes(), free / 2);
}

TEST(CudaBudgetTest, TheDefaultLeavesWhatIsForAnother) {
  constexpr int64_t kSpare = int64_t{512} << 20;
  auto default_budget = [](int64_t spare_bytes) -> absl::StatusOr<int64_t> {
    CudaBackendOptions options;
    options.spare_bytes = spare_bytes;
    LASTRO_ASSIGN_OR_RETURN(auto backend, CudaBackend::Create(options));
    return backend->free_bytes();
  };
  ASSERT_OK_AND_ASSIGN(int64_t all, default_budget(0));
  ASSERT_OK_AND_ASSIGN(int64_t less, default_budget(kSpare));
  EXPECT_NEAR(static_cast<double>(all - less), 0.9 * kSpare, 16 << 20);
  EXPECT_THAT(default_budget(int64_t{1} << 50),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("--vector-gpu-memory")));
}

TEST(CudaBudgetTest, KvShapesThatOverflowAreTooLarge) {
  auto backend = NewCuda(DataType::kBF16, kBudget);
  const KvShape shape = {int64_t{1} << 20, int64_t{1} << 20, int64_t{1} << 20, 16, int64_t{1} << 20};
  EXPECT_EQ(backend->KvBytes(shape), INT64_MAX);
  const KvShape narrow = {int64_t{1} << 50, int64_t{1} << 20, 128, 16, int64_t{1} << 20};
  EXPECT_THAT(backend->AllocateKv(narrow), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("--gpu-memory")));
  for (int64_t bytes : {INT64_MAX, INT64_MAX - 1, INT64_MAX - 255}) {
    EXPECT_THAT(backend->Allocate(bytes), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("--gpu-memory")));
  }
  EXPECT_EQ(backend->KvBytes({2, 3, 8, 16, 5}), 2 * 2 * 3 * 8 * 16 * 5 * 2);
}

TEST(CudaBackendTest, HeadsThatAreTooWide) {
  auto backend = NewCuda(DataType::kBF16, kBudget);
  EXPECT_THAT(backend->AllocateKv({1, 1, 513, 16, 1}),
              StatusIs(absl::StatusCode::kUnimplemented, AllOf(HasSubstr("513"), HasSubstr("--device cpu"))));
}

// More than the pinned memory that it goes by way of holds at once.
TEST(CudaBackendTest, ALargeCopyArrivesWhole) {
  auto backend = NewCuda(DataType::kBF16, kBudget);
  std::mt19937_64 random = testing::SeededRandom(1812345);
  std::vector<uint8_t> bytes((size_t{18} << 20) + 12345), back(bytes.size());
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  ASSERT_OK_AND_ASSIGN(auto buffer, backend->Allocate(static_cast<int64_t>(bytes.size())));
  ASSERT_THAT(backend->CopyToDevice(bytes.data(), static_cast<int64_t>(bytes.size()), buffer->data()), testing::IsOk());
  backend->BeginStep({});
  backend->CopyToHost(buffer->data(), static_cast<int64_t>(back.size()), back.data());
  ASSERT_THAT(backend->Synchronize(), testing::IsOk());
  EXPECT_TRUE(back == bytes);
}

TEST(CudaBackendTest, NoSuchDevice) {
  CudaBackendOptions options;
  options.device = 4096;
  EXPECT_THAT(CudaBackend::Create(options).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("4096")));
}

// A step that needs scratch beyond the budget fails with the operation's name; the next step is sound.
TEST(CudaBackendTest, AStepThatRunsOutOfMemoryNamesTheOperation) {
  Side side(NewCuda(DataType::kBF16, kBudget));
  const int64_t k = 4096, rows = 4096;  // 32 MiB to be turned into bf16
  const std::vector<uint8_t> weights(static_cast<size_t>(kernels::RowBytes(DataType::kQ8_0, 8 * k)));
  ASSERT_OK_AND_ASSIGN(auto weight, side->LoadLinear({HostMatrix{DataType::kQ8_0, weights.data(), 8, k}}, {}, {}));
  ASSERT_OK_AND_ASSIGN(auto x, side->Allocate(1 << 20));
  const MatrixView out = side.Empty(rows, 8, DataType::kF32, 0);
  side->BeginStep({});
  side->Linear(*weight, {x->data(), rows, k, k, DataType::kF32}, out);
  EXPECT_THAT(side->Synchronize(), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("Linear")));
  side->BeginStep({});
  side->Clear(out);
  EXPECT_THAT(side->Synchronize(), testing::IsOk());
}

#ifdef LASTRO_CUDA_EMULATOR
// Every call of a step fails in turn: the step's status says so, no operation crashes, and the device that recovers
// works on.
TEST(CudaBackendTest, AFailingDeviceIsAnErrorOfTheStep) {
  Side side(NewCuda(DataType::kF32));
  const MatrixView x = side.Put({1, 2, 3, 4}, 1, 4, DataType::kF32), y = side.Put({1, 1, 1, 1}, 1, 4, DataType::kF32);
  auto step = [&] {
    side->BeginStep({});
    side->Add(x, y);
    side->Map(MapKind::kScale, 1.0f, y);
    side->GatherRows(x, {0}, y);
    return side->Synchronize();
  };
  ASSERT_THAT(step(), testing::IsOk());
  int failures = 0;
  for (int64_t calls = 0;; ++calls) {
    CudaEmulatorFailAfter(calls);
    const absl::Status status = step();
    CudaEmulatorFailAfter(-1);
    if (status.ok()) break;
    ++failures;
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal, HasSubstr("cudaErrorLaunchFailure")));
  }
  EXPECT_GE(failures, 5);
  EXPECT_THAT(step(), testing::IsOk());
  EXPECT_EQ(side.Get(y), (std::vector<float>{1, 2, 3, 4}));
}
#endif

}  // namespace
}  // namespace lastro::engine
