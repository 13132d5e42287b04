// The server's own behaviour: health, draining, admission, limits, and what it knows of calls that are stuck.
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <sstream>
#include <thread>

#include "absl/synchronization/notification.h"
#include "base/json.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "lastro/v1/embedding.grpc.pb.h"
#include "lastro/v1/ingest.grpc.pb.h"
#include "services/grpc/active_calls.h"
#include "services/grpc/call_runner.h"
#include "services/grpc/server.h"
#include "services/grpc/status.h"
#include "tests/unit/services/grpc_fakes.h"

namespace lastro::services {
namespace {

using ::lastro::services::testing::TestServer;
using ::lastro::services::testing::WaitForEnd;
using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::HasSubstr;

// One grpc.health.v1 Check; the messages have one field each, encoded by hand: request 1 = service, response 1 =
// status. "SERVING", "NOT_SERVING" or the error code's number.
std::string Health(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  grpc::GenericStub stub(channel);
  std::string bytes;
  if (!service.empty()) bytes = std::string("\x0a") + static_cast<char>(service.size()) + service;
  grpc::Slice slice(bytes);
  grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::ClientContext context;
  absl::Notification done;
  grpc::Status status;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request, &response,
                 [&](grpc::Status result) {
                   status = result;
                   done.Notify();
                 });
  done.WaitForNotification();
  if (!status.ok()) return std::to_string(status.error_code());
  grpc::Slice answer;
  if (!response.DumpToSingleSlice(&answer).ok() || answer.size() != 2) return "malformed";
  return answer.begin()[1] == 1 ? "SERVING" : "NOT_SERVING";
}

TEST(GrpcStatus, CodesMapOneToOneBothWays) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "because");
    EXPECT_EQ(ToGrpc(status).error_code(), code);
    EXPECT_EQ(FromGrpc(ToGrpc(status)), status);
  }
  // A code that gRPC does not have but its enumeration can hold.
  EXPECT_THAT(FromGrpc(grpc::Status(static_cast<grpc::StatusCode>(31), "x")),
              StatusIs(absl::StatusCode::kUnknown, "x"));
}

TEST(GrpcStatus, LongMessagesAreCutBetweenCharacters) {
  std::string message;
  for (int i = 0; i < 2000; ++i) message += "ã";
  const std::string cut = ToGrpc(absl::InternalError(message)).error_message();
  EXPECT_LE(cut.size(), 2048u);
  EXPECT_EQ(cut.substr(cut.size() - 5), "ã...");
}

TEST(GrpcServer, TellsHealthOfTheServerAndOfEachService) {
  TestServer test;
  test.Start();
  auto channel = test.Channel()->channel();
  EXPECT_EQ(Health(channel, ""), "SERVING");
  EXPECT_EQ(Health(channel, "lastro.v1.AskService"), "SERVING");
  EXPECT_EQ(Health(channel, "lastro.v1.RetrievalService"), std::to_string(grpc::StatusCode::NOT_FOUND));
}

TEST(GrpcServer, DrainRefusesNewCallsAndWaitsForThoseThatRun) {
  TestServer test;
  absl::Notification entered;
  absl::Notification go_on;
  test.ask.ask = [&](const auto&, const auto&, const auto&) -> absl::StatusOr<v1::Answer> {
    entered.Notify();
    go_on.WaitForNotification();
    return v1::Answer();
  };
  test.Start();
  auto channel = test.Channel();
  auto ask = MakeRemoteAsk(channel);
  std::thread caller([&] { EXPECT_THAT(ask->Ask({}, CallContext()), IsOk()); });
  entered.WaitForNotification();
  std::thread drain([&] { EXPECT_TRUE(test.server().Drain(absl::Seconds(60))); });
  while (Health(channel->channel(), "") != "NOT_SERVING") absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(Health(channel->channel(), "lastro.v1.AskService"), "NOT_SERVING");
  absl::StatusOr<v1::ListModelsResponse> refused = MakeRemoteModels(channel)->ListModels({}, CallContext());
  while (refused.ok()) refused = MakeRemoteModels(channel)->ListModels({}, CallContext());  // health changes first
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("shutting down")));
  go_on.Notify();
  caller.join();
  drain.join();
}

TEST(GrpcServer, DrainCancelsWhatDoesNotFinish) {
  TestServer test;
  absl::Notification entered;
  absl::Status seen;
  test.ask.ask = [&](const auto&, const CallContext& context, const auto&) -> absl::StatusOr<v1::Answer> {
    seen = WaitForEnd(context, [&] { entered.Notify(); });
    return seen;
  };
  test.Start();
  auto ask = MakeRemoteAsk(test.Channel());
  std::thread caller([&] { EXPECT_FALSE(ask->Ask({}, CallContext()).ok()); });
  entered.WaitForNotification();
  EXPECT_FALSE(test.server().Drain(absl::Milliseconds(10)));
  caller.join();
  EXPECT_THAT(seen, StatusIs(absl::StatusCode::kCancelled, HasSubstr("cancelled")));
}

TEST(GrpcServer, DrainEndsWatches) {
  TestServer test;
  absl::Notification entered;
  test.ingest.watch = [&](const auto&, const CallContext& context, const auto&) {
    return WaitForEnd(context, [&] { entered.Notify(); });
  };
  test.Start();
  auto ingest = MakeRemoteIngest(test.Channel());
  std::thread watcher([&] {
    EXPECT_THAT(ingest->WatchJob({}, CallContext(), [](const v1::Job&) { return absl::OkStatus(); }),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("shutting down")));
  });
  entered.WaitForNotification();
  EXPECT_TRUE(test.server().Drain(absl::Seconds(60)));
  watcher.join();
}

TEST(GrpcServer, AFloodIsServedOrRefused) {
  TestServer test;
  test.options.max_running_calls = 2;
  test.options.max_waiting_calls = 3;
  test.ask.ask = [](const auto&, const auto&, const auto&) -> absl::StatusOr<v1::Answer> {
    absl::SleepFor(absl::Milliseconds(20));
    return v1::Answer();
  };
  test.Start();
  auto ask = MakeRemoteAsk(test.Channel());
  std::atomic<int> served{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 200; ++i) {
    callers.emplace_back([&] {
      const absl::Status status = ask->Ask({}, CallContext()).status();
      if (status.ok()) ++served;
      if (absl::IsResourceExhausted(status)) ++refused;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(served + refused, 200);
  EXPECT_GE(served, 5);
  EXPECT_THAT(ask->Ask({}, CallContext()), IsOk());
}

TEST(GrpcServer, StuckComputationIsNotServingUntilItGoesOn) {
  TestServer test;
  test.options.patience = absl::Milliseconds(40);
  absl::Notification go_on;
  test.ask.ask = [&](const auto&, const auto&, const auto&) -> absl::StatusOr<v1::Answer> {
    go_on.WaitForNotification();
    return v1::Answer();
  };
  test.Start();
  auto channel = test.Channel();
  auto ask = MakeRemoteAsk(channel);
  std::thread caller([&] { EXPECT_THAT(ask->Ask({}, CallContext()), IsOk()); });
  while (Health(channel->channel(), "") != "NOT_SERVING") absl::SleepFor(absl::Milliseconds(1));
  go_on.Notify();
  caller.join();
  while (Health(channel->channel(), "") != "SERVING") absl::SleepFor(absl::Milliseconds(1));
}

TEST(ActiveCalls, OnlyCallsThatComputeAndMakeNoStepAreStuck) {
  ActiveCalls calls;
  const absl::Time start = absl::Now();
  const absl::Duration patience = absl::Seconds(60);
  const absl::Time later = start + absl::Seconds(100);
  auto cheap = std::make_shared<ActiveCall>(nullptr, /*computes=*/false);
  auto waiting = std::make_shared<ActiveCall>(nullptr, /*computes=*/true);
  auto running = std::make_shared<ActiveCall>(nullptr, /*computes=*/true);
  cheap->Enter(ActiveCall::State::kRunning, start);
  for (const auto& call : {cheap, waiting}) calls.Add(call);
  EXPECT_TRUE(calls.Alive(later, patience));
  calls.Add(running);
  running->Enter(ActiveCall::State::kRunning, start);
  EXPECT_TRUE(calls.Alive(start + absl::Seconds(30), patience));
  EXPECT_FALSE(calls.Alive(later, patience));
  calls.Remove(cheap, later);
  EXPECT_FALSE(calls.Alive(later, patience)) << "a cheap call tells nothing about computation";
  running->Poll(start + absl::Seconds(90));
  EXPECT_TRUE(calls.Alive(later, patience));
  calls.Remove(waiting, start + absl::Seconds(200));
  EXPECT_TRUE(calls.Alive(start + absl::Seconds(210), patience)) << "another call has ended: computation goes on";
}

TEST(GrpcServer, RefusesUploadsOutOfOrderAndTooLarge) {
  TestServer test;
  test.options.max_upload_bytes = 10;
  test.Start();
  auto channel = test.Channel();
  auto ingest = MakeRemoteIngest(channel);
  EXPECT_THAT(ingest->Upload({}, std::string(10, 'x'), CallContext()), IsOk());
  EXPECT_THAT(ingest->Upload({}, std::string(11, 'x'), CallContext()),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("exceeds 10 bytes")));

  auto stub = v1::IngestService::NewStub(channel->channel());
  grpc::ClientContext context;
  v1::UploadResponse response;
  auto writer = stub->Upload(&context, &response);
  v1::UploadRequest part;
  part.set_content("no header");
  writer->Write(part);
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("must be its header"));
}

TEST(GrpcServer, RefusesRequestsOverTheLimitAndSaysWhatIsNotImplemented) {
  TestServer test;
  test.embedding.embed = [](const auto&, const auto&) { return v1::EmbedResponse(); };
  test.Start();
  auto channel = test.Channel();
  grpc::ChannelArguments arguments;
  arguments.SetMaxSendMessageSize(-1);
  auto unlimited = grpc::CreateCustomChannel(test.server().address(), grpc::InsecureChannelCredentials(), arguments);
  auto stub = v1::EmbeddingService::NewStub(unlimited);
  v1::EmbedRequest large;
  large.add_texts(std::string((64 << 20) + 1, 'x'));
  v1::EmbedResponse response;
  grpc::ClientContext context;
  EXPECT_EQ(stub->Embed(&context, large, &response).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);

  grpc::ClientContext other;
  v1::ClassifyResponse classified;
  const grpc::Status status = stub->Classify(&other, {}, &classified);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(status.error_message(), "EmbeddingService/Classify is not implemented yet");
}

TEST(GrpcServer, AnAddressInUseIsAnError) {
  TestServer first;
  first.Start();
  TestServer second;
  second.options.listen = first.server().address();
  const ServedApis apis{.ask = &second.ask,
                        .embedding = &second.embedding,
                        .generation = &second.generation,
                        .ingest = &second.ingest,
                        .inspect = &second.inspect,
                        .models = &second.models,
                        .retrieval = second.retrieval.get()};
  EXPECT_THAT(Server::Start(second.options, apis, &second.log),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(first.server().address())));
  second.options.tls_cert = "/no/such.pem";
  EXPECT_THAT(Server::Start(second.options, apis, &second.log),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--tls-key")));
  second.options.tls_key = "/no/such.key";
  EXPECT_THAT(Server::Start(second.options, apis, &second.log),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such.pem")));
}

TEST(EventLog, WritesOneLineAnEventWithoutTextOfRequests) {
  std::ostringstream out;
  auto logger = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  logger->set_pattern("%v");
  const EventLog log(logger, /*json=*/true);
  CallRunner calls(1, 1, 1, /*requires_scope=*/false, &log);
  grpc::ServerContext context;
  calls.Run(context, {.method = "AskService/Ask"},
            [](Call&) { return absl::InvalidArgumentError("question 'secret \"words\"'"); });
  calls.Run(context, {.method = "AskService/Ask"}, [](Call&) { return absl::InternalError("disk \"a\" is\nfull"); });
  std::istringstream lines(out.str());
  std::string line;
  std::getline(lines, line);
  EXPECT_THAT(line, Not(HasSubstr("secret")));
  ASSERT_OK_AND_ASSIGN(JsonDocument first, JsonDocument::Parse(line, "log"));
  EXPECT_EQ(*first.root().GetString("method", ""), "AskService/Ask");
  EXPECT_EQ(*first.root().GetString("code", ""), "INVALID_ARGUMENT");
  EXPECT_GE(*first.root().GetDouble("duration_ms", -1), 0);
  std::getline(lines, line);
  ASSERT_OK_AND_ASSIGN(JsonDocument second, JsonDocument::Parse(line, "log"));
  EXPECT_EQ(*second.root().GetString("error", ""), "disk \"a\" is\nfull");
}

}  // namespace
}  // namespace lastro::services
