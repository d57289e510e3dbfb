// A .tflite by LiteRT's C interface, for the JVM. The library comes from the Python package ai-edge-litert, which ships no headers;
// what is used of it is declared here, as litert/c of LiteRT's sources has it.

#include <jni.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

extern "C" {
using Handle = struct Opaque*;
struct RankedTensorType {
  int32_t element_type;
  uint32_t rank_and_strides;
  int32_t dimensions[8];
  uint32_t strides[8];
};
static_assert(sizeof(RankedTensorType) == 72, "as LiteRT has it");
constexpr int kCpu = 1;
constexpr int kRead = 0;
constexpr int kWrite = 1;

int LiteRtCreateEnvironment(int options, const void*, Handle* environment);
int LiteRtCreateModelFromFile(Handle environment, const char* path, Handle* model);
int LiteRtCreateOptions(Handle* options);
int LiteRtSetOptionsHardwareAccelerators(Handle options, int accelerators);
int LiteRtCreateCompiledModel(Handle environment, Handle model, Handle options, Handle* compiled);
int LiteRtGetModelSignature(Handle model, size_t index, Handle* signature);
int LiteRtGetSignatureInputTensorByIndex(Handle signature, size_t index, Handle* tensor);
int LiteRtGetSignatureOutputTensorByIndex(Handle signature, size_t index, Handle* tensor);
int LiteRtGetRankedTensorType(Handle tensor, RankedTensorType* type);
int LiteRtGetCompiledModelInputBufferRequirements(Handle compiled, size_t signature, size_t index, Handle* requirements);
int LiteRtGetCompiledModelOutputBufferRequirements(Handle compiled, size_t signature, size_t index, Handle* requirements);
int LiteRtCreateManagedTensorBufferFromRequirements(Handle environment, const RankedTensorType*, Handle requirements, Handle* buffer);
int LiteRtLockTensorBuffer(Handle buffer, void** address, int mode);
int LiteRtUnlockTensorBuffer(Handle buffer);
int LiteRtRunCompiledModel(Handle compiled, size_t signature, size_t inputs, Handle*, size_t outputs, Handle*);
void LiteRtDestroyTensorBuffer(Handle);
void LiteRtDestroyCompiledModel(Handle);
void LiteRtDestroyOptions(Handle);
void LiteRtDestroyModel(Handle);
void LiteRtDestroyEnvironment(Handle);
}

namespace {

struct Session {
  Handle environment = nullptr, model = nullptr, options = nullptr, compiled = nullptr, input = nullptr, output = nullptr;

  ~Session() {
    if (output) LiteRtDestroyTensorBuffer(output);
    if (input) LiteRtDestroyTensorBuffer(input);
    if (compiled) LiteRtDestroyCompiledModel(compiled);
    if (options) LiteRtDestroyOptions(options);
    if (model) LiteRtDestroyModel(model);
    if (environment) LiteRtDestroyEnvironment(environment);
  }
};

void check(int status, const char* what) {
  if (status) throw std::string(what) + ": LiteRT's status " + std::to_string(status);
}

Handle buffer(Session& session, bool is_input) {
  Handle signature, tensor, requirements, made;
  RankedTensorType type;
  check(LiteRtGetModelSignature(session.model, 0, &signature), "signature");
  check((is_input ? LiteRtGetSignatureInputTensorByIndex : LiteRtGetSignatureOutputTensorByIndex)(signature, 0, &tensor), "tensor");
  check(LiteRtGetRankedTensorType(tensor, &type), "type");
  const auto ask = is_input ? LiteRtGetCompiledModelInputBufferRequirements : LiteRtGetCompiledModelOutputBufferRequirements;
  check(ask(session.compiled, 0, 0, &requirements), "requirements");
  check(LiteRtCreateManagedTensorBufferFromRequirements(session.environment, &type, requirements, &made), "buffer");
  return made;
}

void copy(Handle buffer, void* bytes, size_t count, int mode) {
  void* address = nullptr;
  check(LiteRtLockTensorBuffer(buffer, &address, mode), "lock");
  if (mode == kWrite) {
    std::memcpy(address, bytes, count);
  } else {
    std::memcpy(bytes, address, count);
  }
  check(LiteRtUnlockTensorBuffer(buffer), "unlock");
}

void fail(JNIEnv* env, const std::string& text) { env->ThrowNew(env->FindClass("java/lang/RuntimeException"), text.c_str()); }

}  // namespace

extern "C" JNIEXPORT jlong JNICALL Java_org_levitmobile_host_LiteRtHost_open(JNIEnv* env, jobject, jstring path) {
  const char* name = env->GetStringUTFChars(path, nullptr);
  auto* session = new Session;
  try {
    check(LiteRtCreateEnvironment(0, nullptr, &session->environment), "environment");
    check(LiteRtCreateModelFromFile(session->environment, name, &session->model), "model");
    check(LiteRtCreateOptions(&session->options), "options");
    check(LiteRtSetOptionsHardwareAccelerators(session->options, kCpu), "accelerators");
    check(LiteRtCreateCompiledModel(session->environment, session->model, session->options, &session->compiled), "compiled model");
    session->input = buffer(*session, true);
    session->output = buffer(*session, false);
  } catch (const std::string& error) {
    delete session;
    session = nullptr;
    fail(env, error);
  }
  env->ReleaseStringUTFChars(path, name);
  return reinterpret_cast<jlong>(session);
}

extern "C" JNIEXPORT void JNICALL Java_org_levitmobile_host_LiteRtHost_run(JNIEnv* env, jobject, jlong handle, jobject in, jobject out) {
  auto* session = reinterpret_cast<Session*>(handle);
  try {
    copy(session->input, env->GetDirectBufferAddress(in), env->GetDirectBufferCapacity(in), kWrite);
    check(LiteRtRunCompiledModel(session->compiled, 0, 1, &session->input, 1, &session->output), "run");
    copy(session->output, env->GetDirectBufferAddress(out), env->GetDirectBufferCapacity(out), kRead);
  } catch (const std::string& error) {
    fail(env, error);
  }
}

extern "C" JNIEXPORT void JNICALL Java_org_levitmobile_host_LiteRtHost_close(JNIEnv*, jobject, jlong handle) {
  delete reinterpret_cast<Session*>(handle);
}
