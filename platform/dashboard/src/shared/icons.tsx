import type { ReactNode, SVGProps } from "react";

function icon(drawing: ReactNode) {
  return function Icon({ size = 16, ...rest }: SVGProps<SVGSVGElement> & { size?: number }) {
    return (
      <svg
        width={size}
        height={size}
        viewBox="0 0 24 24"
        fill="none"
        stroke="currentColor"
        strokeWidth={1.8}
        strokeLinecap="round"
        strokeLinejoin="round"
        aria-hidden="true"
        focusable="false"
        {...rest}
      >
        {drawing}
      </svg>
    );
  };
}

export const LoopIcon = icon(<><path d="M19.5 15.5a8 8 0 1 1-.4-7.6" /><path d="M19.6 3.8v4.4h-4.4" /></>);
export const TrainIcon = icon(<><path d="M3 20h18" /><path d="M4 6c3 0 4 9 8 10.5s6 .5 8 .5" /></>);
export const GateIcon = icon(<><path d="M12 3l7.5 3v5.5c0 4.6-3.1 7.9-7.5 9.5-4.4-1.6-7.5-4.9-7.5-9.5V6z" /><path d="M8.8 12l2.3 2.3 4.3-4.6" /></>);
export const ModelIcon = icon(<><path d="M12 2.8l8 4.6v9.2l-8 4.6-8-4.6V7.4z" /><path d="M4.2 7.5L12 12l7.8-4.5M12 12v9" /></>);
export const EndpointIcon = icon(<><circle cx="5.5" cy="12" r="2.3" /><circle cx="18.5" cy="5.5" r="2.3" /><circle cx="18.5" cy="18.5" r="2.3" /><path d="M7.7 11l8.5-4.4M7.7 13l8.5 4.4" /></>);
export const ScaleIcon = icon(<><path d="M12 3.5v17M7.5 20.5h9M4 7l8-1.8L20 7" /><path d="M1.8 14L4 7.2 6.2 14a2.4 2.4 0 0 1-4.4 0zM17.8 14L20 7.2l2.2 6.8a2.4 2.4 0 0 1-4.4 0z" /></>);
export const MonitorIcon = icon(<path d="M2.5 12.5h4l2.5-7 5 14 2.8-7h4.7" />);
export const PipelineIcon = icon(<><rect x="2.5" y="9" width="5.5" height="6" rx="1.3" /><rect x="16" y="3.5" width="5.5" height="6" rx="1.3" /><rect x="16" y="14.5" width="5.5" height="6" rx="1.3" /><path d="M8 12h4M16 6.5h-2a2 2 0 0 0-2 2v7a2 2 0 0 0 2 2h2" /></>);
export const EventsIcon = icon(<><path d="M8.5 6H21M8.5 12H21M8.5 18H21" /><circle cx="3.8" cy="6" r=".8" /><circle cx="3.8" cy="12" r=".8" /><circle cx="3.8" cy="18" r=".8" /></>);
export const JobsIcon = icon(<><rect x="3" y="4" width="18" height="16" rx="2.5" /><path d="M7 9.5l2.8 2.5L7 14.5M12.5 15H17" /></>);
export const HomeIcon = icon(<><path d="M3.5 11L12 4l8.5 7" /><path d="M5.5 9.5V20h13V9.5" /></>);
export const SearchIcon = icon(<><circle cx="10.5" cy="10.5" r="6.5" /><path d="M15.5 15.5L21 21" /></>);
export const SunIcon = icon(<><circle cx="12" cy="12" r="4" /><path d="M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4" /></>);
export const MoonIcon = icon(<path d="M20 14.5A8.3 8.3 0 0 1 9.5 4a8.3 8.3 0 1 0 10.5 10.5z" />);
export const SystemIcon = icon(<><rect x="3" y="4" width="18" height="12.5" rx="2" /><path d="M8.5 20.5h7M12 16.5v4" /></>);
export const CopyIcon = icon(<><rect x="8.5" y="8.5" width="12" height="12" rx="2" /><path d="M15.5 5.5v-.2a2 2 0 0 0-2-2H5.5a2 2 0 0 0-2 2v8a2 2 0 0 0 2 2h.2" /></>);
export const CheckIcon = icon(<path d="M4.5 12.5l5 5L19.5 7" />);
export const CrossIcon = icon(<path d="M6 6l12 12M18 6L6 18" />);
export const WarnIcon = icon(<><path d="M12 3.8l9.3 16.2H2.7z" /><path d="M12 10v4.3M12 17.2v.1" /></>);
export const ClockIcon = icon(<><circle cx="12" cy="12" r="8.5" /><path d="M12 7v5.2l3.3 2" /></>);
export const StopIcon = icon(<><circle cx="12" cy="12" r="8.5" /><path d="M8.5 12h7" /></>);
export const SpinIcon = icon(<path d="M12 3.5a8.5 8.5 0 1 0 8.5 8.5" />);
export const PauseIcon = icon(<path d="M8.5 5.5v13M15.5 5.5v13" />);
export const PlayIcon = icon(<path d="M7.5 4.8v14.4L19 12z" />);
export const PlusIcon = icon(<path d="M12 5v14M5 12h14" />);
export const ArrowIcon = icon(<path d="M4.5 12h15M13.5 6l6 6-6 6" />);
export const DownIcon = icon(<path d="M12 4v11.5M6.5 10.5L12 16l5.5-5.5M4.5 20h15" />);
export const LinkIcon = icon(<><path d="M10 4.5H5.5a1 1 0 0 0-1 1v13a1 1 0 0 0 1 1h13a1 1 0 0 0 1-1V14" /><path d="M14 4h6v6M20 4l-9.5 9.5" /></>);
export const StarIcon = icon(<path d="M12 3.5l2.6 5.5 6 .8-4.4 4.2 1.1 6-5.3-3-5.3 3 1.1-6-4.4-4.2 6-.8z" />);
export const KeyIcon = icon(<><circle cx="8" cy="15" r="4.5" /><path d="M11.3 11.7L20 3M16 7l3 3M13.5 9.5l2 2" /></>);
export const MenuIcon = icon(<path d="M4 7h16M4 12h16M4 17h16" />);
export const ExitIcon = icon(<><path d="M14 4H6a1.5 1.5 0 0 0-1.5 1.5v13A1.5 1.5 0 0 0 6 20h8" /><path d="M10.5 12H21M17 8l4 4-4 4" /></>);

/** The mark: a wheel that turns one way. */
export function Logo({ size = 26 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" fill="#3b3fa8" />
      <g fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round" strokeLinejoin="round">
        <path d="M22.5 20.5a8 8 0 1 1-.6-9.9" />
        <path d="M22.6 6.2v4.8h-4.8" />
      </g>
      <circle cx="16" cy="16" r="2.6" fill="#fff" />
    </svg>
  );
}
