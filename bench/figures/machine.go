package figures

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Circumstances says by which command, where, when and of what a table was made.
func Circumstances(command string) string {
	return fmt.Sprintf("Made by `%s`, %s, commit %s, %s, %s on %d cores of %s, Linux %s",
		command, time.Now().Format("2 January 2006 15:04 MST"), commit(),
		runtime.Version(), runtime.GOARCH, runtime.NumCPU(), processor(), kernel())
}

// unknown stands for what this machine does not tell.
const unknown = "unknown"

// processor returns the model name that the kernel gives the first core.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return unknown
}

func kernel() string { return firstLine("/proc/sys/kernel/osrelease") }

// HugePages returns the kernel's choices with the one in force in brackets. Much memory
// costs more where its pages are small.
func HugePages() string { return firstLine("/sys/kernel/mm/transparent_hugepage/enabled") }

func firstLine(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return unknown
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// commit names the checkout's, and says if its sources differ from it.
func commit() string {
	head, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return unknown
	}
	name := strings.TrimSpace(string(head))
	changed, err := exec.Command("git", "status", "--porcelain", "--", "*.go", "*.s", "go.mod").Output()
	if err != nil || len(changed) > 0 {
		name += " with changes"
	}
	return name
}
