;; One guest for most tests: the first letter of the path says what it does.
;;
;;   /l  loops for ever                    /t  traps
;;   /n  returns without an answer         /g  grows its memory until refused, then traps
;;   /s  sleeps 300 ms, then answers       /w  sleeps a minute, then answers
;;   /f  answers in two pieces with 300 ms between them
;;   /h  sends a piece of its answer, then traps
;;   /x  answers, then loops for ever      /b  computes for a while, then answers
;;   /e  answers with the request's body   /p  writes "a line from the guest" to stdout, then answers
;;   /k  answers with a counter of wasi:keyvalue   /c  answers with `greeting` of wasi:config
;;   /oHOST:PORT  sends a request there and answers with its status, or with the error's text
;;   anything else: answers "ok VERSION"
(module
  (import "wasi:http/types@0.2.0" "[static]fields.from-list" (func $fields (param i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-response" (func $resp (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-response.body" (func $body (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]response-outparam.set" (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-body.write" (func $write (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]outgoing-body.finish" (func $finish (param i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-request.path-with-query" (func $path (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-request.consume" (func $consume (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-body.stream" (func $stream (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-scheme" (func $set-scheme (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-authority" (func $set-authority (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-path-with-query" (func $set-path (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]future-incoming-response.subscribe" (func $subscribe (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]future-incoming-response.get" (func $get-response (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-response.status" (func $status (param i32) (result i32)))
  (import "wasi:http/outgoing-handler@0.2.0" "handle" (func $send (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $flush (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop-stream (param i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $after (param i64) (result i32)))
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
  (import "wasi:config/store@0.2.0-rc.1" "get" (func $config (param i32 i32 i32)))
  (import "wasi:keyvalue/store@0.2.0-draft" "open" (func $open (param i32 i32 i32)))
  (import "wasi:keyvalue/atomics@0.2.0-draft" "increment" (func $increment (param i32 i32 i32 i64 i32)))

  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 8192))
  (global $out (mut i32) (i32.const 0))      ;; handle of the outparam
  (global $b (mut i32) (i32.const 0))        ;; handle of the body
  (global $s (mut i32) (i32.const 0))        ;; handle of its stream

  (data (i32.const 1024) "ok v1\n")
  (data (i32.const 1040) "first\n")
  (data (i32.const 1056) "second\n")
  (data (i32.const 1072) "greeting")
  (data (i32.const 1088) "counter")
  (data (i32.const 1104) "a line from the guest\n")
  (data (i32.const 1136) "no value\n")
  (data (i32.const 1152) "/")

  (func $realloc (export "cabi_realloc") (param $old i32) (param $osz i32) (param $align i32) (param $new i32) (result i32)
    (local $p i32)
    (local.set $p (i32.and (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
                           (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $p) (local.get $new)))
    (block $ok (loop $grow
      (br_if $ok (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
      (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
      (br $grow)))
    (local.get $p))

  ;; Sends the head of a plain 200 and opens the body.
  (func $begin
    (local $r i32)
    (call $fields (i32.const 0) (i32.const 0) (i32.const 32))
    (local.set $r (call $resp (i32.load (i32.const 36))))
    (call $body (local.get $r) (i32.const 48))
    (global.set $b (i32.load (i32.const 52)))
    (call $set (global.get $out) (i32.const 0) (local.get $r)
      (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
    (call $write (global.get $b) (i32.const 64))
    (global.set $s (i32.load (i32.const 68))))

  ;; Writes up to 4096 bytes at a time, as the interface demands.
  (func $say (param $p i32) (param $n i32)
    (local $m i32)
    (loop $l
      (local.set $m (select (i32.const 4096) (local.get $n) (i32.gt_u (local.get $n) (i32.const 4096))))
      (call $flush (global.get $s) (local.get $p) (local.get $m) (i32.const 80))
      (local.set $p (i32.add (local.get $p) (local.get $m)))
      (local.set $n (i32.sub (local.get $n) (local.get $m)))
      (br_if $l (i32.and (i32.ne (local.get $n) (i32.const 0)) (i32.eqz (i32.load8_u (i32.const 80)))))))

  (func $end
    (call $drop-stream (global.get $s))
    (call $finish (global.get $b) (i32.const 0) (i32.const 0) (i32.const 96)))

  (func $answer (param $p i32) (param $n i32)
    (call $begin) (call $say (local.get $p) (local.get $n)) (call $end))

  ;; Answers with a decimal number and a line end.
  (func $answer-number (param $v i64)
    (local $p i32)
    (local.set $p (i32.const 4095))
    (i32.store8 (local.get $p) (i32.const 10))
    (loop $l
      (local.set $p (i32.sub (local.get $p) (i32.const 1)))
      (i32.store8 (local.get $p) (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $v) (i64.const 10)))))
      (local.set $v (i64.div_u (local.get $v) (i64.const 10)))
      (br_if $l (i64.ne (local.get $v) (i64.const 0))))
    (call $answer (local.get $p) (i32.sub (i32.const 4096) (local.get $p))))

  (func $sleep (param $ns i64) (call $block (call $after (local.get $ns))))

  (func $echo (param $req i32)
    (local $in i32)
    (call $consume (local.get $req) (i32.const 112))
    (call $stream (i32.load (i32.const 116)) (i32.const 120))
    (local.set $in (i32.load (i32.const 124)))
    (call $begin)
    (block $done (loop $l
      (global.set $heap (i32.const 8192))
      (call $read (local.get $in) (i64.const 16384) (i32.const 128))
      (br_if $done (i32.load8_u (i32.const 128)))
      (if (i32.load (i32.const 136)) (then (call $say (i32.load (i32.const 132)) (i32.load (i32.const 136)))))
      (br $l)))
    (call $end))

  (func $outbound (param $host i32) (param $len i32)
    (local $r i32) (local $f i32)
    (call $fields (i32.const 0) (i32.const 0) (i32.const 32))
    (local.set $r (call $request (i32.load (i32.const 36))))
    (drop (call $set-scheme (local.get $r) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
    (drop (call $set-path (local.get $r) (i32.const 1) (i32.const 1152) (i32.const 1)))
    (drop (call $set-authority (local.get $r) (i32.const 1) (local.get $host) (local.get $len)))
    ;; result<future-incoming-response, error-code> at 256: aligned to 8, the payload of internal-error is a string
    (call $send (local.get $r) (i32.const 0) (i32.const 0) (i32.const 256))
    (if (i32.load8_u (i32.const 256)) (then unreachable))
    (local.set $f (i32.load (i32.const 264)))
    (call $block (call $subscribe (local.get $f)))
    ;; option at 320, result at 328, result at 336, error-code or handle at 344
    (call $get-response (local.get $f) (i32.const 320))
    (if (i32.eqz (i32.load8_u (i32.const 336)))
      (then (call $answer-number (i64.extend_i32_u (call $status (i32.load (i32.const 344))))) (return)))
    ;; internal-error(some(text)) is case 38: its option at 352, the text after it
    (if (i32.eq (i32.load8_u (i32.const 344)) (i32.const 38))
      (then (if (i32.load8_u (i32.const 352)) (then (call $answer (i32.load (i32.const 356)) (i32.load (i32.const 360))) (return)))))
    (call $answer-number (i64.extend_i32_u (i32.add (i32.const 1000) (i32.load8_u (i32.const 344))))))

  (func (export "wasi:http/incoming-handler@0.2.0#handle") (param $req i32) (param $outp i32)
    (local $c i32) (local $i i64)
    (global.set $heap (i32.const 8192))
    (global.set $out (local.get $outp))
    (call $path (local.get $req) (i32.const 16))
    (if (i32.gt_u (i32.load (i32.const 24)) (i32.const 1))
      (then (local.set $c (i32.load8_u offset=1 (i32.load (i32.const 20))))))
    (if (i32.eq (local.get $c) (i32.const 0x6c)) (then (loop $l (br $l))))                                    ;; l
    (if (i32.eq (local.get $c) (i32.const 0x74)) (then unreachable))                                          ;; t
    (if (i32.eq (local.get $c) (i32.const 0x6e)) (then (return)))                                             ;; n
    (if (i32.eq (local.get $c) (i32.const 0x67))                                                              ;; g
      (then (loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable))
    (if (i32.eq (local.get $c) (i32.const 0x73)) (then (call $sleep (i64.const 300000000))))                  ;; s
    (if (i32.eq (local.get $c) (i32.const 0x77)) (then (call $sleep (i64.const 60000000000))))                ;; w
    (if (i32.eq (local.get $c) (i32.const 0x66))                                                              ;; f
      (then (call $begin) (call $say (i32.const 1040) (i32.const 6)) (call $sleep (i64.const 300000000))
            (call $say (i32.const 1056) (i32.const 7)) (call $end) (return)))
    (if (i32.eq (local.get $c) (i32.const 0x68))                                                              ;; h
      (then (call $begin) (call $say (i32.const 1040) (i32.const 6)) (call $sleep (i64.const 50000000)) unreachable))
    (if (i32.eq (local.get $c) (i32.const 0x78))                                                              ;; x
      (then (call $answer (i32.const 1024) (i32.const 6)) (loop $l (br $l))))
    (if (i32.eq (local.get $c) (i32.const 0x62))                                                              ;; b
      (then (loop $l (local.set $i (i64.add (local.get $i) (i64.const 1))) (br_if $l (i64.lt_u (local.get $i) (i64.const 200000000))))))
    (if (i32.eq (local.get $c) (i32.const 0x65)) (then (call $echo (local.get $req)) (return)))               ;; e
    (if (i32.eq (local.get $c) (i32.const 0x70))                                                              ;; p
      (then (call $flush (call $stdout) (i32.const 1104) (i32.const 22) (i32.const 80))))
    (if (i32.eq (local.get $c) (i32.const 0x6b))                                                              ;; k
      (then (call $open (i32.const 0) (i32.const 0) (i32.const 144))
            (if (i32.load8_u (i32.const 144)) (then unreachable))
            (call $increment (i32.load (i32.const 148)) (i32.const 1088) (i32.const 7) (i64.const 1) (i32.const 160))
            (if (i32.load8_u (i32.const 160)) (then unreachable))
            (call $answer-number (i64.load (i32.const 168))) (return)))
    (if (i32.eq (local.get $c) (i32.const 0x63))                                                              ;; c
      (then (call $config (i32.const 1072) (i32.const 8) (i32.const 192))
            (if (i32.load8_u (i32.const 196))
              (then (call $answer (i32.load (i32.const 200)) (i32.load (i32.const 204))) (return)))
            (call $answer (i32.const 1136) (i32.const 9)) (return)))
    (if (i32.eq (local.get $c) (i32.const 0x6f))                                                              ;; o
      (then (call $outbound (i32.add (i32.load (i32.const 20)) (i32.const 2)) (i32.sub (i32.load (i32.const 24)) (i32.const 2))) (return)))
    (call $answer (i32.const 1024) (i32.const 6)))
)
