;; Grows two memories by 48 pages (3 MiB) each; traps when refused, else returns without an answer.
(component
  (import "wasi:http/types@0.2.0" (instance $t
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (alias export $t "incoming-request" (type $req))
  (alias export $t "response-outparam" (type $out))
  (core module $other (memory (export "m") 1)
    (func (export "grow") (if (i32.eq (memory.grow (i32.const 48)) (i32.const -1)) (then unreachable))))
  (core instance $o (instantiate $other))
  (core module $m (import "other" "grow" (func $grow)) (memory (export "m") 1)
    (func (export "handle") (param i32 i32)
      (if (i32.eq (memory.grow (i32.const 48)) (i32.const -1)) (then unreachable))
      (call $grow)))
  (core instance $i (instantiate $m (with "other" (instance $o))))
  (func $handle (param "request" (own $req)) (param "response-out" (own $out)) (canon lift (core func $i "handle")))
  (instance $h (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $h)))
