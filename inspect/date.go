package inspect

// date writes a time, in nanoseconds of the Unix epoch, for people: UTC, to the minute.
func date(ns int64) string {
	const minute = 60e9
	minutes := ns / minute
	if ns%minute < 0 {
		minutes--
	}
	days, rest := minutes/1440, minutes%1440
	if rest < 0 {
		days, rest = days-1, rest+1440
	}
	year, month, day := civil(days)
	b := []byte("0000-00-00 00:00 UTC")
	for _, f := range [...]struct{ end, value int64 }{{4, year}, {7, month}, {10, day}, {13, rest / 60}, {16, rest % 60}} {
		for i, n := f.end-1, f.value; n > 0 && i >= 0; i, n = i-1, n/10 {
			b[i] = '0' + byte(n%10)
		}
	}
	return string(b)
}

// civil is the day of the Gregorian calendar that lies so many days after 1970-01-01.
// Years are counted from March on, so that a leap day is the last one of its year.
func civil(days int64) (year, month, day int64) {
	const (
		era   = 146097 // days of 400 years
		march = 719468 // days from 0000-03-01 to 1970-01-01
	)
	days += march
	cycle := days / era
	if days%era < 0 {
		cycle--
	}
	d := days - cycle*era
	y := (d - d/1460 + d/36524 - d/(era-1)) / 365
	d -= 365*y + y/4 - y/100
	m := (5*d + 2) / 153
	day = d - (153*m+2)/5 + 1
	if month = m + 3; month > 12 {
		month -= 12
		y++
	}
	return y + cycle*400, month, day
}
