// Stops a store after each of its changes on the disk while a collection is moved to another embedding model, back, and
// on, and the first model's vectors are dropped: wherever it stops, the collection is searched by one model, whole, and
// the move can be gone on with.
#include "tests/crash/fault_disk.h"
#include "tests/unit/retrieval/store_fixture.h"

namespace lastro::retrieval::testing {
namespace {

using lastro::testing::DiskChange;
using lastro::testing::FaultDisk;
using lastro::testing::IsOk;
using lastro::testing::Loss;
using lastro::testing::SimulatedDisk;
using lastro::testing::TempFolder;

constexpr int64_t kIndexAfter = 8;

// What is certain once a step was acknowledged.
struct State {
  std::string searched;  // fingerprint; empty: there is no collection yet
  std::string other;     // empty: there is none
  std::vector<std::string> texts;
  int64_t others_at_least = 0;  // vectors of the other set
};

struct Moment {
  std::string step;
  size_t begin = 0, end = 0;  // changes made before it began, and when it was acknowledged
  State before, after;
};

VectorSet ModelOf(const std::string& fingerprint) {
  return fingerprint == kFingerprint ? OtherModel(kFingerprint, kDimension) : OtherModel();
}

class ReembeddingKillTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", /*replace=*/0);
  }

  static absl::StatusOr<std::unique_ptr<SqliteStore>> Open(const std::string& folder) {
    return SqliteStore::Open({.folder = folder, .index_after_chunks = kIndexAfter});
  }

  static absl::Status PutOne(SqliteStore& store, const std::string& text, const std::string& fingerprint) {
    const VectorSet model = ModelOf(fingerprint);
    TestDocument test = MakeDocument("doc of " + text, {text}, kCollection, model.dimension);
    test.chunks[0].vector = VectorBy(fingerprint, text, model.dimension);
    return Put(store, test, fingerprint).status();
  }

  void Step(const std::string& name, FaultDisk& disk, const std::function<absl::Status()>& act,
            const std::function<void(State*)>& change) {
    Moment moment{name, disk.made(), 0, state_, state_};
    change(&moment.after);
    ASSERT_THAT(act(), IsOk()) << name;
    moment.end = disk.made();
    state_ = moment.after;
    moments_.push_back(std::move(moment));
  }

  void Record() {
    TempFolder folder;
    root_ = folder.path();
    FaultDisk disk;
    std::unique_ptr<SqliteStore> store;
    auto put = [&](const std::string& text, const std::string& fingerprint) {
      Step(
          "put " + text, disk, [&] { return PutOne(*store, text, fingerprint); },
          [&](State* state) { state->texts.push_back(text); });
    };
    auto fill = [&](const std::string& fingerprint) {
      Step(
          "fill " + fingerprint, disk, [&] { return FillOther(*store, ModelOf(fingerprint)).status(); },
          [&](State* state) { state->others_at_least = static_cast<int64_t>(state->texts.size()); });
      Step(
          "prepare", disk, [&] { return store->PrepareVectors(kCollection, fingerprint); }, [](State*) {});
    };
    auto turn = [&](const std::string& fingerprint) {
      Step(
          "switch to " + fingerprint, disk, [&] { return store->SwitchVectors(kCollection, fingerprint).status(); },
          [&](State* state) { std::swap(state->searched, state->other); });
    };
    auto open = [&] {
      Step(
          "open", disk,
          [&]() -> absl::Status {
            store.reset();
            absl::StatusOr<std::unique_ptr<SqliteStore>> opened = Open(root_);
            if (opened.ok()) store = *std::move(opened);
            return opened.status();
          },
          [](State*) {});
    };
    open();
    Step(
        "create", disk, [&] { return store->CreateCollection(MakeCollection()); },
        [](State* state) { state->searched = kFingerprint; });
    for (int i = 0; i < 12; ++i) put(absl::StrCat("early ", i), kFingerprint);
    Step(
        "begin", disk, [&] { return store->BeginReembedding(kCollection, OtherModel()).status(); },
        [](State* state) { state->other = kOtherFingerprint; });
    fill(kOtherFingerprint);
    put("between", kFingerprint);
    fill(kOtherFingerprint);
    turn(kOtherFingerprint);
    put("later", kOtherFingerprint);
    fill(kFingerprint);
    open();
    turn(kFingerprint);
    turn(kOtherFingerprint);
    Step(
        "finish", disk, [&] { return store->DropVectors(kCollection, kFingerprint).status(); },
        [](State* state) {
          state->other.clear();
          state->others_at_least = 0;
        });
    put("last", kOtherFingerprint);
    Step(
        "flush", disk, [&] { return store->Flush(); }, [](State*) {});
    store.reset();
    changes_ = disk.TakeChanges();
  }

  std::vector<State> Possible(size_t made) const {
    std::vector<State> possible = {State()};
    for (const Moment& moment : moments_) {
      if (moment.end <= made) possible = {moment.after};
      if (moment.begin <= made && made < moment.end) return {moment.before, moment.after};
    }
    return possible;
  }

  // "" when the store is as `state` says.
  static std::string Difference(SqliteStore& store, const State& state) {
    absl::StatusOr<Reembedding> found = store.GetReembedding(kCollection);
    if (state.searched.empty()) return absl::IsNotFound(found.status()) ? "" : "there is a collection";
    if (!found.ok()) return found.status().ToString();
    if (found->searched.fingerprint != state.searched) return "searched by " + found->searched.fingerprint;
    if (found->other.has_value() == state.other.empty()) return "another number of models";
    if (found->chunks != static_cast<int64_t>(state.texts.size())) return absl::StrCat(found->chunks, " chunks");
    if (found->other.has_value() && found->other->fingerprint != state.other) return "another other model";
    if (found->other.has_value() && found->other->vectors < state.others_at_least) return "vectors are lost";
    return Finds(store, state);
  }

  static std::string Finds(SqliteStore& store, const State& state) {
    const VectorSet model = ModelOf(state.searched);
    for (const std::string& text : state.texts) {
      SearchQuery query = MakeQuery(SearchMode::kDense, text);
      query.vector = VectorBy(state.searched, text, model.dimension);
      query.fingerprint = state.searched;
      absl::StatusOr<SearchResult> result = store.Search(query, CallContext());
      if (!result.ok()) return result.status().ToString();
      if (result->hits.empty() || result->hits[0].chunk.text != text || result->hits[0].dense_score < 0.9999) {
        return text + " is not found";
      }
    }
    return "";
  }

  static std::string Check(const std::string& folder, const std::vector<State>& possible) {
    absl::StatusOr<std::unique_ptr<SqliteStore>> store = Open(folder);
    if (!store.ok()) return store.status().ToString();
    if (absl::Status status = (*store)->CheckIntegrity(); !status.ok()) return status.ToString();
    std::string difference;
    for (const State& state : possible) {
      difference = Difference(**store, state);
      if (difference.empty()) return GoOn(**store, state);
    }
    return difference;
  }

  // The move can be made, or made again, from where the store stopped.
  static std::string GoOn(SqliteStore& store, State state) {
    if (state.searched.empty()) return "";
    if (state.other.empty()) {
      state.other = state.searched == kFingerprint ? kOtherFingerprint : kFingerprint;
      absl::Status begun = store.BeginReembedding(kCollection, ModelOf(state.other)).status();
      if (!begun.ok()) return begun.ToString();
    }
    absl::Status status = FillOther(store, ModelOf(state.other)).status();
    if (status.ok()) status = store.PrepareVectors(kCollection, state.other);
    if (status.ok()) status = store.SwitchVectors(kCollection, state.other).status();
    if (!status.ok()) return status.ToString();
    std::swap(state.searched, state.other);
    return Finds(store, state);
  }

  std::string root_;
  std::vector<DiskChange> changes_;
  std::vector<Moment> moments_;
  State state_;
};

TEST_F(ReembeddingKillTest, TheCollectionIsSearchedByOneModelWhereverItStops) {
  ASSERT_NO_FATAL_FAILURE(Record());
  std::mt19937_64 random = lastro::testing::SeededRandom(21);
  const bool every_point = std::getenv("LASTRO_EVERY_POINT") != nullptr;
  SimulatedDisk disk(root_);
  size_t points = 0;
  for (size_t made = 0; made <= changes_.size() && !HasFailure(); ++made) {
    if (made > 0) disk.Apply(changes_[made - 1]);
    auto orders = [&](size_t i) { return i < changes_.size() && changes_[i].kind != DiskChange::Kind::kWrite; };
    const bool is_point = every_point || orders(made) || (made > 0 && orders(made - 1)) || made % 5 == 0;
    if (!is_point) continue;
    ++points;
    std::vector<Loss> losses = {Loss::kNothing, Loss::kUnsynced, Loss::kSomeSectors};
    if (!every_point) losses = {losses[points % 3]};
    for (Loss loss : losses) {
      TempFolder folder;
      disk.WriteTo(folder.path(), loss, random);
      EXPECT_EQ(Check(folder.path(), Possible(made)), "")
          << "after " << made << " of " << changes_.size() << " changes, loss " << static_cast<int>(loss);
    }
  }
  std::printf("%zu changes on the disk, stopped at %zu of them\n", changes_.size(), points);
  EXPECT_GE(points, 150u);
}

}  // namespace
}  // namespace lastro::retrieval::testing
