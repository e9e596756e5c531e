//go:build lab

package offload

// AliveTime is aliveTime, for tests that wait for it.
const AliveTime = aliveTime
