#include "engine/step_scheduler.h"

#include <algorithm>
#include <limits>
#include <set>
#include <tuple>

#include "absl/time/clock.h"
#include "base/check.h"

namespace lastro::engine {
namespace {

// Tokens of one step: enough for efficient products, few enough that another model's step does not wait long.
constexpr size_t kStepTokens = 512;
// Of the tokens of prompts, what is the background's where both wait: one in so many.
constexpr size_t kBackgroundShare = 8;
// A request with no more tokens left than this counts as decoding.
constexpr size_t kDecodingTokens = 8;
// How often a waiting caller looks at its context.
constexpr absl::Duration kPollPeriod = absl::Milliseconds(20);
// A step waits for the sessions of the last one to come back, but no longer than this and a quarter of a step.
constexpr absl::Duration kLongestGathering = absl::Milliseconds(2);

bool IsDecoding(size_t left) { return left <= kDecodingTokens; }

constexpr Priority kPriorities[] = {Priority::kInteractive, Priority::kBackground};

}  // namespace

bool StepScheduler::Job::Is(bool decoding, Priority priority) const {
  return IsDecoding(left()) == decoding && context->priority() == priority;
}

bool StepScheduler::Start(StepRequest& request, const CallContext& context, Job* job) const {
  const bool chooses = !request.choices.empty();
  LASTRO_CHECK(request.logits_of == LogitsOf::kNone || request.logits != nullptr || chooses);
  LASTRO_CHECK(request.drafts <= request.tokens.size());
  CachedSession* session = static_cast<CachedSession*>(request.session);
  LASTRO_CHECK(&session->core() == &core_);
  request.status = session->CheckRequest(request.tokens, request.logits_of);
  if (!request.status.ok()) return false;
  const size_t rows = request.logits_of == LogitsOf::kAll    ? request.tokens.size()
                      : request.logits_of == LogitsOf::kLast ? std::min<size_t>(1, request.tokens.size())
                                                             : 0;
  const size_t vocab = static_cast<size_t>(core_.transformer->architecture().vocab_size);
  if (chooses) {
    LASTRO_CHECK(request.choices.size() == rows && request.session->samples());
    request.sampled->resize(rows);
  } else if (request.logits != nullptr) {
    request.logits->resize(rows * vocab);
  }
  job->session = session;
  job->request = &request;
  job->context = &context;
  job->caller = std::this_thread::get_id();
  return !request.tokens.empty();
}

void StepScheduler::Run(absl::Span<StepRequest> requests, const CallContext& context) {
  std::vector<Job> jobs;
  std::set<const DecoderSession*> sessions;
  for (StepRequest& request : requests) {
    LASTRO_CHECK(sessions.insert(request.session).second, "a session is in a step once");
    Job job;
    if (Start(request, context, &job)) jobs.push_back(job);
  }
  absl::MutexLock lock(&mutex_);
  for (Job& job : jobs) {
    job.due = taken_ + static_cast<int64_t>(job.left());
    waiting_.push_back(&job);
  }
  expected_.erase(std::this_thread::get_id());
  returned_.Signal();
  auto done = [&] { return std::all_of(jobs.begin(), jobs.end(), [](const Job& job) { return job.done; }); };
  while (!done()) led_ ? Follow(absl::MakeSpan(jobs), context) : Lead(absl::MakeSpan(jobs), context);
}

void StepScheduler::EndSession() {
  absl::MutexLock lock(&mutex_);
  if (expected_.erase(std::this_thread::get_id()) > 0) returned_.Signal();
}

int StepScheduler::step_sessions() const {
  absl::MutexLock lock(&mutex_);
  return step_sessions_;
}

void StepScheduler::Follow(absl::Span<Job> mine, const CallContext& context) {
  if (!changed_.WaitWithTimeout(&mutex_, kPollPeriod)) return;
  mutex_.Unlock();  // the context may call code that is not ours
  absl::Status ended = context.Check();
  mutex_.Lock();
  if (!ended.ok()) Leave(mine, ended);
}

void StepScheduler::Lead(absl::Span<Job> mine, const CallContext& context) {
  led_ = true;
  AwaitReturns();
  // The step is for all that wait, whoever leads.
  const bool interactive = AnyWaiting(true, Priority::kInteractive) || AnyWaiting(false, Priority::kInteractive);
  const CallContext leading = context.WithPriority(interactive ? Priority::kInteractive : Priority::kBackground);
  mutex_.Unlock();
  absl::Status status = core_.backend->queue().Run(leading, [this] { return RunOne(); });
  mutex_.Lock();
  led_ = false;
  // A step that failed as a whole, or one that the queue did not start because the leader's time was up.
  if (!status.ok() && running_.empty()) Leave(mine, status);
  for (Job* job : running_) {
    waiting_.erase(std::remove(waiting_.begin(), waiting_.end(), job), waiting_.end());
    End(job, status);
  }
  running_.clear();
  changed_.SignalAll();
}

// Callers come back one by one when a step has ended. Without this the first would run alone, and all steps would go on
// half empty.
void StepScheduler::AwaitReturns() {
  const absl::Time until = absl::Now() + std::min(kLongestGathering, last_step_ / 4);
  while (!expected_.empty() && !returned_.WaitWithDeadline(&mutex_, until)) {
  }
}

absl::Status StepScheduler::RunOne() {
  std::vector<StepPart> parts;
  {
    absl::MutexLock lock(&mutex_);
    parts = TakeParts();
    expected_.clear();
  }
  const absl::Time start = absl::Now();
  RunStep(core_, absl::MakeSpan(parts));
  absl::MutexLock lock(&mutex_);
  last_step_ = absl::Now() - start;
  MeasureStep(parts);
  step_sessions_ = static_cast<int>(parts.size());
  FinishParts(parts);
  changed_.SignalAll();
  return absl::OkStatus();
}

// REQUIRES: parts[i] is of running_[i].
void StepScheduler::MeasureStep(absl::Span<const StepPart> parts) {
  bool decodes = false;
  size_t of_prompts = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool decoding = IsDecoding(running_[i]->left());
    decodes |= decoding;
    if (!decoding) of_prompts += parts[i].tokens.size();
  }
  if (decodes) share_.Add(of_prompts, last_step_);
}

bool StepScheduler::AnyWaiting(bool decoding, Priority priority) const {
  return std::any_of(waiting_.begin(), waiting_.end(), [&](const Job* job) { return job->Is(decoding, priority); });
}

std::vector<StepPart> StepScheduler::TakeParts() {
  const bool prompt = AnyWaiting(false, Priority::kInteractive), background = AnyWaiting(false, Priority::kBackground);
  CountTenants();
  std::vector<StepPart> parts;
  size_t budget = prompt || background ? kStepTokens - share_.tokens() : kStepTokens;
  for (Priority priority : kPriorities) TakeWaiting(true, priority, &budget, &parts);
  // Sessions that decode and come back too late for this step should not miss a long one.
  const bool late = std::any_of(expected_.begin(), expected_.end(), [](const auto& caller) { return caller.second; });
  budget = !parts.empty() ? share_.tokens() : late ? std::max(share_.tokens(), PromptShare::kLeast) : kStepTokens;
  const size_t reserved = prompt && background ? budget / kBackgroundShare : 0;
  budget -= reserved;
  TakeWaiting(false, Priority::kInteractive, &budget, &parts);
  budget += reserved;
  TakeWaiting(false, Priority::kBackground, &budget, &parts);
  return parts;
}

void StepScheduler::CountTenants() {
  std::map<std::string, int64_t> now;
  int64_t fewest = std::numeric_limits<int64_t>::max();
  for (const Job* job : waiting_) {
    const std::string& tenant = job->context->scope().tenant;
    if (auto known = served_.find(tenant); known != served_.end()) fewest = std::min(fewest, known->second);
    now[tenant];
  }
  if (fewest == std::numeric_limits<int64_t>::max()) fewest = 0;
  for (auto& [tenant, tokens] : now) {
    auto known = served_.find(tenant);
    tokens = known == served_.end() ? fewest : known->second;
  }
  served_ = std::move(now);
}

std::vector<StepScheduler::Job*> StepScheduler::InTurn(bool decoding, Priority priority) {
  std::map<std::string, int64_t> served = served_;
  std::deque<Job*> left;
  for (Job* job : waiting_) {
    if (job->Is(decoding, priority)) left.push_back(job);
  }
  std::vector<Job*> jobs;
  while (!left.empty()) {
    const auto turn = [&](const Job* job) {
      return std::tuple(served[job->context->scope().tenant], job->due, job->left());
    };
    const auto next = std::min_element(left.begin(), left.end(),
                                       [&](const Job* one, const Job* other) { return turn(one) < turn(other); });
    served[(*next)->context->scope().tenant] += static_cast<int64_t>((*next)->left());
    jobs.push_back(*next);
    left.erase(next);
  }
  return jobs;
}

void StepScheduler::TakeWaiting(bool decoding, Priority priority, size_t* budget, std::vector<StepPart>* parts) {
  std::set<Job*> taken;
  for (Job* job : InTurn(decoding, priority)) {
    size_t tokens = std::min(job->left(), *budget);
    // A prompt's last piece is not so small that its products would go another way.
    const size_t left = job->left() - tokens;
    if (left > 0 && left <= kDecodingTokens && tokens > kDecodingTokens) tokens -= kDecodingTokens;
    if (tokens == 0) continue;
    *budget -= tokens;
    taken_ += static_cast<int64_t>(tokens);
    served_[job->context->scope().tenant] += static_cast<int64_t>(tokens);
    parts->push_back(PartOf(*job, tokens));
    running_.push_back(job);
    taken.insert(job);
  }
  std::erase_if(waiting_, [&](Job* job) { return taken.contains(job); });
}

StepPart StepScheduler::PartOf(const Job& job, size_t tokens) const {
  const StepRequest& request = *job.request;
  StepPart part;
  part.session = job.session;
  part.tokens = request.tokens.subspan(job.computed, tokens);
  part.position = job.session->length() + static_cast<int64_t>(job.computed);
  part.context = job.context;
  const size_t vocab = static_cast<size_t>(core_.transformer->architecture().vocab_size);
  const size_t row = request.logits_of == LogitsOf::kAll ? job.computed : 0;  // of the request's logits
  if (request.logits_of == LogitsOf::kAll) {
    part.logit_rows = static_cast<int64_t>(tokens);
  } else if (request.logits_of == LogitsOf::kLast && tokens == job.left()) {
    part.logit_rows = 1;
  }
  if (part.logit_rows == 0) return part;
  if (request.choices.empty()) {
    part.logits = request.logits->data() + row * vocab;
  } else {
    part.choices = request.choices.data() + row;
    part.sampled = request.sampled->data() + row;
  }
  return part;
}

// REQUIRES: parts[i] is of running_[i].
void StepScheduler::FinishParts(absl::Span<const StepPart> parts) {
  for (size_t i = 0; i < parts.size(); ++i) {
    Job* job = running_[i];
    const bool decodes = IsDecoding(job->left());
    job->computed += parts[i].tokens.size();
    if (!parts[i].status.ok() || job->left() == 0) {
      End(job, parts[i].status);
      if (parts[i].status.ok()) expected_.emplace(job->caller, decodes);
    } else {
      waiting_.push_back(job);
    }
  }
  running_.clear();
}

void StepScheduler::End(Job* job, const absl::Status& status) {
  if (status.ok()) {
    job->session->Commit(job->request->tokens, job->request->drafts);
  } else {
    job->session->Rollback();
  }
  job->request->status = status;
  job->done = true;
}

void StepScheduler::Leave(absl::Span<Job> mine, const absl::Status& status) {
  for (Job& job : mine) {
    const auto at = std::find(waiting_.begin(), waiting_.end(), &job);
    if (at == waiting_.end()) continue;
    waiting_.erase(at);
    End(&job, status);
  }
}

}  // namespace lastro::engine
