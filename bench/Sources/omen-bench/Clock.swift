internal import Glibc

/// Seconds of a clock; of the standard one, which never goes back, since some fixed moment.
func now(_ clock: Int32 = CLOCK_MONOTONIC) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// Rounded to so many decimal digits.
func rounded(_ value: Double, _ digits: Int) -> Double {
    let factor = pow(10, Double(digits))
    return (value * factor).rounded() / factor
}
