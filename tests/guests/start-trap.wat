;; Its start function traps, so no instance ever comes to be.
(component
  (import "wasi:http/types@0.2.0" (instance $t
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (alias export $t "incoming-request" (type $req))
  (alias export $t "response-outparam" (type $out))
  (core module $m
    (func $start unreachable)
    (func (export "handle") (param i32 i32))
    (start $start))
  (core instance $i (instantiate $m))
  (func $handle (param "request" (own $req)) (param "response-out" (own $out)) (canon lift (core func $i "handle")))
  (instance $h (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $h)))
