//go:build !race

package main

const raceIsOn = false
