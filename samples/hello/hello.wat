(module
  ;; ---- wasi imports (canonical ABI, legacy names) ----
  (import "wasi:cli/environment@0.2.0" "get-environment" (func $env (param i32)))
  (import "wasi:http/types@0.2.0" "[static]fields.from-list" (func $fields (param i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-response" (func $resp (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-response.body" (func $body (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-response.set-status-code" (func $status (param i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[static]response-outparam.set" (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-body.write" (func $write (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]outgoing-body.finish" (func $finish (param i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-request.path-with-query" (func $path (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[resource-drop]incoming-request" (func $drop-req (param i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $flush (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop-stream (param i32)))

  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 8192))
  (global $out (mut i32) (i32.const 4096))          ;; response text is built at 4096..8192

  ;; 0..256 scratch / return areas; constants from 1024
  (data (i32.const 1024) "content-typetext/plain; charset=utf-8")
  (data (i32.const 1088) "WASMCTL_PRIMITIVE")
  (data (i32.const 1120) "Hello, wasmctl!\n")
  (data (i32.const 1152) "primitive: ")
  (data (i32.const 1168) "path: ")
  ;; header list: [(ptr,len of key, ptr,len of value)]
  (data (i32.const 1200) "\00\04\00\00" "\0c\00\00\00" "\0c\04\00\00" "\19\00\00\00")

  (func $realloc (export "cabi_realloc") (param $old i32) (param $osz i32) (param $align i32) (param $new i32) (result i32)
    (local $p i32)
    (local.set $p (i32.and (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
                           (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $p) (local.get $new)))
    (block $ok (loop $grow                              ;; grow a page at a time
      (br_if $ok (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
      (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
      (br $grow)))
    (if (local.get $osz) (then (memory.copy (local.get $p) (local.get $old) (local.get $osz))))
    (local.get $p))

  (func $put (param $p i32) (param $n i32)              ;; append, clipped to the buffer
    (if (i32.gt_u (i32.add (global.get $out) (local.get $n)) (i32.const 8190))
      (then (local.set $n (i32.sub (i32.const 8190) (global.get $out)))))
    (memory.copy (global.get $out) (local.get $p) (local.get $n))
    (global.set $out (i32.add (global.get $out) (local.get $n))))

  (func $nl (i32.store8 (global.get $out) (i32.const 10)) (global.set $out (i32.add (global.get $out) (i32.const 1))))

  (func $eq (param $a i32) (param $b i32) (param $n i32) (result i32)
    (loop $l
      (if (i32.eqz (local.get $n)) (then (return (i32.const 1))))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $l (i32.eq (i32.load8_u (i32.add (local.get $a) (local.get $n)))
                        (i32.load8_u (i32.add (local.get $b) (local.get $n))))))
    (i32.const 0))

  (func (export "wasi:http/incoming-handler@0.2.0#handle") (param $req i32) (param $outp i32)
    (local $r i32) (local $b i32) (local $s i32) (local $e i32) (local $n i32)
    (global.set $heap (i32.const 8192)) (global.set $out (i32.const 4096))   ;; per-call arena: safe to reuse
    (call $put (i32.const 1120) (i32.const 16))
    ;; primitive: $WASMCTL_PRIMITIVE
    (call $env (i32.const 0))
    (local.set $e (i32.load (i32.const 0))) (local.set $n (i32.load (i32.const 4)))
    (block $done (loop $l
      (br_if $done (i32.eqz (local.get $n)))
      (if (i32.eq (i32.load offset=4 (local.get $e)) (i32.const 17))
        (then (if (call $eq (i32.load (local.get $e)) (i32.const 1088) (i32.const 17))
          (then (call $put (i32.const 1152) (i32.const 11))
                (call $put (i32.load offset=8 (local.get $e)) (i32.load offset=12 (local.get $e)))
                (call $nl)))))
      (local.set $e (i32.add (local.get $e) (i32.const 16)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $l)))
    ;; path: /...
    (call $path (local.get $req) (i32.const 16))
    (if (i32.load8_u (i32.const 16))
      (then (call $put (i32.const 1168) (i32.const 6))
            (call $put (i32.load (i32.const 20)) (i32.load (i32.const 24)))
            (call $nl)))
    (call $drop-req (local.get $req))
    ;; headers -> response -> body -> outparam
    (call $fields (i32.const 1200) (i32.const 1) (i32.const 32))
    (if (i32.load8_u (i32.const 32)) (then unreachable))
    (local.set $r (call $resp (i32.load (i32.const 36))))
    (drop (call $status (local.get $r) (i32.const 200)))
    (call $body (local.get $r) (i32.const 48))
    (local.set $b (i32.load (i32.const 52)))
    (call $set (local.get $outp) (i32.const 0) (local.get $r)
      (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
    (call $write (local.get $b) (i32.const 64))
    (local.set $s (i32.load (i32.const 68)))
    (call $flush (local.get $s) (i32.const 4096) (i32.sub (global.get $out) (i32.const 4096)) (i32.const 80))
    (call $drop-stream (local.get $s))
    (call $finish (local.get $b) (i32.const 0) (i32.const 0) (i32.const 96)))
)
