;; A component, but none that answers requests.
(module
  (func (export "run")))
